//! The elements that matter, by number.

/// A kind of node: text, one of the elements that are treated in a way of their own, or any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Tag {
    /// The whole page.
    Page,
    Text,
    Other,
    A,
    Address,
    Area,
    Article,
    Aside,
    Audio,
    B,
    Base,
    Blockquote,
    Body,
    Br,
    Button,
    Caption,
    Col,
    Colgroup,
    Data,
    Dd,
    Del,
    Details,
    Div,
    Dl,
    Dt,
    Em,
    Embed,
    Fieldset,
    Figcaption,
    Figure,
    Footer,
    Form,
    H1,
    H2,
    H3,
    H4,
    H5,
    H6,
    Head,
    Header,
    Hr,
    Html,
    I,
    Iframe,
    Img,
    Input,
    Ins,
    Label,
    Li,
    Link,
    Main,
    Meta,
    Meter,
    Nav,
    Noembed,
    Noframes,
    Noscript,
    Object,
    Ol,
    Optgroup,
    Option,
    P,
    Param,
    Plaintext,
    Pre,
    S,
    Script,
    Section,
    Select,
    Source,
    Span,
    Strike,
    Strong,
    Style,
    Summary,
    Svg,
    Table,
    Tbody,
    Td,
    Template,
    Textarea,
    Tfoot,
    Th,
    Thead,
    Time,
    Title,
    Tr,
    Track,
    Ul,
    Video,
    Wbr,
    Xmp,
}

/// How many tags there are.
pub(super) const TAGS: usize = Tag::Xmp as usize + 1;
/// The longest name of them.
const MAX_NAME_BYTES: usize = 10;

impl Tag {
    /// The tag of an element's name, in any case.
    pub(crate) fn of(name: &str) -> Self {
        let mut lower = [0; MAX_NAME_BYTES];
        let Some(lower) = lower.get_mut(..name.len()) else { return Self::Other };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        match &*lower {
            b"a" => Self::A,
            b"address" => Self::Address,
            b"area" => Self::Area,
            b"article" => Self::Article,
            b"aside" => Self::Aside,
            b"audio" => Self::Audio,
            b"b" => Self::B,
            b"base" => Self::Base,
            b"blockquote" => Self::Blockquote,
            b"body" => Self::Body,
            b"br" => Self::Br,
            b"button" => Self::Button,
            b"caption" => Self::Caption,
            b"col" => Self::Col,
            b"colgroup" => Self::Colgroup,
            b"data" => Self::Data,
            b"dd" => Self::Dd,
            b"del" => Self::Del,
            b"details" => Self::Details,
            b"div" => Self::Div,
            b"dl" => Self::Dl,
            b"dt" => Self::Dt,
            b"em" => Self::Em,
            b"embed" => Self::Embed,
            b"fieldset" => Self::Fieldset,
            b"figcaption" => Self::Figcaption,
            b"figure" => Self::Figure,
            b"footer" => Self::Footer,
            b"form" => Self::Form,
            b"h1" => Self::H1,
            b"h2" => Self::H2,
            b"h3" => Self::H3,
            b"h4" => Self::H4,
            b"h5" => Self::H5,
            b"h6" => Self::H6,
            b"head" => Self::Head,
            b"header" => Self::Header,
            b"hr" => Self::Hr,
            b"html" => Self::Html,
            b"i" => Self::I,
            b"iframe" => Self::Iframe,
            b"img" => Self::Img,
            b"input" => Self::Input,
            b"ins" => Self::Ins,
            b"label" => Self::Label,
            b"li" => Self::Li,
            b"link" => Self::Link,
            b"main" => Self::Main,
            b"meta" => Self::Meta,
            b"meter" => Self::Meter,
            b"nav" => Self::Nav,
            b"noembed" => Self::Noembed,
            b"noframes" => Self::Noframes,
            b"noscript" => Self::Noscript,
            b"object" => Self::Object,
            b"ol" => Self::Ol,
            b"optgroup" => Self::Optgroup,
            b"option" => Self::Option,
            b"p" => Self::P,
            b"param" => Self::Param,
            b"plaintext" => Self::Plaintext,
            b"pre" => Self::Pre,
            b"s" => Self::S,
            b"script" => Self::Script,
            b"section" => Self::Section,
            b"select" => Self::Select,
            b"source" => Self::Source,
            b"span" => Self::Span,
            b"strike" => Self::Strike,
            b"strong" => Self::Strong,
            b"style" => Self::Style,
            b"summary" => Self::Summary,
            b"svg" => Self::Svg,
            b"table" => Self::Table,
            b"tbody" => Self::Tbody,
            b"td" => Self::Td,
            b"template" => Self::Template,
            b"textarea" => Self::Textarea,
            b"tfoot" => Self::Tfoot,
            b"th" => Self::Th,
            b"thead" => Self::Thead,
            b"time" => Self::Time,
            b"title" => Self::Title,
            b"tr" => Self::Tr,
            b"track" => Self::Track,
            b"ul" => Self::Ul,
            b"video" => Self::Video,
            b"wbr" => Self::Wbr,
            b"xmp" => Self::Xmp,
            _ => Self::Other,
        }
    }

    /// Has no content and no end tag.
    pub(crate) fn is_void(self) -> bool {
        matches!(
            self,
            Self::Area
                | Self::Base
                | Self::Br
                | Self::Col
                | Self::Embed
                | Self::Hr
                | Self::Img
                | Self::Input
                | Self::Link
                | Self::Meta
                | Self::Param
                | Self::Source
                | Self::Track
                | Self::Wbr
        )
    }

    /// Its content is text, whatever it looks like.
    pub(crate) fn is_raw(self) -> bool {
        matches!(
            self,
            Self::Script
                | Self::Style
                | Self::Textarea
                | Self::Title
                | Self::Iframe
                | Self::Noembed
                | Self::Noframes
                | Self::Xmp
                | Self::Plaintext
        )
    }

    /// What a reader of the page doesn't see.
    pub(crate) fn is_invisible(self) -> bool {
        matches!(
            self,
            Self::Script
                | Self::Style
                | Self::Noscript
                | Self::Template
                | Self::Head
                | Self::Title
                | Self::Iframe
                | Self::Svg
                | Self::Textarea
                | Self::Select
        )
    }

    /// Stands apart from the text around it.
    pub(crate) fn is_block(self) -> bool {
        matches!(
            self,
            Self::Address
                | Self::Article
                | Self::Aside
                | Self::Blockquote
                | Self::Br
                | Self::Caption
                | Self::Dd
                | Self::Div
                | Self::Dl
                | Self::Dt
                | Self::Fieldset
                | Self::Figcaption
                | Self::Figure
                | Self::Footer
                | Self::Form
                | Self::H1
                | Self::H2
                | Self::H3
                | Self::H4
                | Self::H5
                | Self::H6
                | Self::Header
                | Self::Hr
                | Self::Li
                | Self::Main
                | Self::Nav
                | Self::Ol
                | Self::Option
                | Self::P
                | Self::Pre
                | Self::Section
                | Self::Table
                | Self::Tbody
                | Self::Td
                | Self::Tfoot
                | Self::Th
                | Self::Thead
                | Self::Tr
                | Self::Ul
        )
    }

    /// `h1` to `h6`.
    pub(crate) fn is_heading(self) -> bool {
        matches!(self, Self::H1 | Self::H2 | Self::H3 | Self::H4 | Self::H5 | Self::H6)
    }

    /// Begins a block that ends an open paragraph.
    pub(super) fn ends_paragraph(self) -> bool {
        self.is_block()
            && !matches!(
                self,
                Self::Br
                    | Self::Caption
                    | Self::Td
                    | Self::Th
                    | Self::Tr
                    | Self::Tbody
                    | Self::Tfoot
                    | Self::Thead
                    | Self::Option
            )
    }
}
