//! Pages that are made to be expensive.

/// A page, and how it is made.
pub(crate) type Hostile = (&'static str, fn() -> String);

const PRODUCT: &str = r#"{"@type":"Product","name":"A","offers":{"price":1}}"#;

pub(crate) const PAGES: &[Hostile] = &[
    ("100 MB of text", || format!("<h1>Lamp</h1><p>{}", "a lamp 19,90 € ".repeat(6_500_000))),
    ("1,000,000 nested div", || "<div>".repeat(1_000_000)),
    ("1,000,000 nested div, ended", || "<div>".repeat(1_000_000) + &"</div>".repeat(1_000_000)),
    ("100,000 b and i, crosswise", || "<b><i></b></i>x".repeat(100_000)),
    ("9,000 nested formats in p", || "<p><b><i><a>x".repeat(9_000)),
    ("1,000,000 attributes of one tag", || format!("<p {}>x", attributes(1_000_000))),
    ("an attribute of 9 MB", || format!("<p class=\"{}\">x", "price ".repeat(1_500_000))),
    ("250,000 classes called price", || "<b class=\"product-price a b c\">1 €</b>".repeat(250_000)),
    ("10 MB of h1", || format!("<title>{0}</title><h1>{0}</h1>", "lamp".repeat(1_250_000))),
    ("400,000 headings", || "<h1>Lamp <b>x</b></h1><h2>y</h2>".repeat(200_000)),
    ("a JSON-LD block of 3 MB", || ld(&format!("[{}0]", format!("{PRODUCT},").repeat(58_000)))),
    ("200 blocks of JSON-LD", || {
        ld(&format!("[{}0]", format!("{PRODUCT},").repeat(900))).repeat(200)
    }),
    ("100,000 blocks that are no JSON", || ld("{\"a\": [,,,}").repeat(100_000)),
    ("JSON-LD that nests 600,000 deep", || ld(&"{\"@graph\":[".repeat(300_000))),
    ("a graph of references in circles", circles),
    ("entities in entities in JSON-LD", || {
        let nested = format!("{}{PRODUCT}{}", r#"{"@type":"A","x":"#.repeat(100), "}".repeat(100));
        ld(&nested).repeat(1_500)
    }),
    ("state that is 3 MB wide", || {
        script(&format!("x = {{\"price\":[{}1]}}", "1,".repeat(1_400_000)))
    }),
    ("state of 60,000 prices", || script(&format!("x = {{{}\"z\":1}}", prices(60_000)))),
    ("2,000,000 assignments", || script(&"x={\"".repeat(2_000_000))),
    ("100,000 scripts of state", || script("x = {\"price\": 1, \"sku\": \"L-7\"}").repeat(100_000)),
    ("a table of 100,000 rows", || {
        format!("<table>{}</table>", "<tr><th>Brand<td>Acme<td>1 €".repeat(100_000))
    }),
    ("50,000 tables in tables", || "<table><tr><td>Brand:<td>".repeat(50_000)),
    ("400,000 labels", || "<p>Brand: Acme</p><dt>SKU<dd>L-7".repeat(200_000)),
    ("400,000 dates", || {
        format!("<h1>L</h1>{}", "<p>12 March 2024</p><time>1/2/2023</time>".repeat(200_000))
    }),
    ("200,000 buttons and sold out", || {
        "<button>Add to cart</button><i>sold out</i>".repeat(200_000)
    }),
    ("300,000 meta tags", || "<meta name=author content=Ann>".repeat(300_000)),
    ("150,000 items of microdata", || {
        "<b itemscope itemtype=Product itemprop=a><i itemprop=name>x".repeat(150_000)
    }),
    ("itemref to all of the page", || {
        let refs = "a ".repeat(30_000);
        format!("<div id=a itemscope itemref='{refs}'>{}", "<b itemprop=x>y</b>".repeat(300_000))
    }),
    ("350,000 list elements", || {
        format!("<h2>Ingredients</h2><ul>{}", "<li class=ingredient>x y".repeat(350_000))
    }),
    ("300,000 links", || {
        "<a rel=\"author tag\" href=\"tel:1234567\">x</a><a href=/x?1>y</a>".repeat(150_000)
    }),
    ("1,200,000 entities", || {
        format!("<h1>&amp;&#x41;</h1><p>{}", "&amp;&bogus;&#xffffffff;".repeat(400_000))
    }),
    ("10 MB of <", || "<".repeat(10_000_000)),
    ("10 MB of <!", || "<!".repeat(5_000_000)),
    ("a comment without an end", || format!("<!--{}", "-- > <b>".repeat(1_250_000))),
    ("NUL and control characters", || {
        "<h1>\0\u{1}\u{b}</h1><p class=\"\0price\">\0".repeat(300_000)
    }),
    ("no HTML: bytes of a picture", || {
        "\u{fffd}PNG\r\n\u{1a}\0\0\rIHDR\u{fffd}<\u{fffd}>".repeat(300_000)
    }),
    ("marks on marks", || format!("<h1>{}</h1>", "e\u{301}\u{202e}\u{200d}".repeat(1_000_000))),
    ("select, svg, template, plaintext", || {
        "<select><option>1 €<svg><title>x</title><template><p>y".repeat(100_000) + "<plaintext>"
    }),
];

fn attributes(count: u32) -> String {
    (0..count).map(|number| format!("a{number}=b ")).collect::<Vec<_>>().concat()
}

fn prices(count: u32) -> String {
    let price = |number| format!("\"k{number}\":{{\"price\":{number},\"name\":\"x\"}},");
    (0..count).map(price).collect::<Vec<_>>().concat()
}

fn ld(json: &str) -> String {
    format!("<script type=\"application/ld+json\">{json}</script>")
}

fn script(state: &str) -> String {
    format!("<script>{state}</script>")
}

/// Each of 20,000 entities refers to two others.
fn circles() -> String {
    const COUNT: u32 = 20_000;
    let entity = |number: u32| {
        let (one, other) = ((number * 7 + 1) % COUNT, (number * 13 + 5) % COUNT);
        format!(
            r##"{{"@type":"Product","@id":"#{number}","offers":[{{"@id":"#{one}"}},{{"@id":"#{other}"}}],"brand":{{"@id":"#{one}"}}}},"##
        )
    };
    ld(&format!("{{\"@graph\":[{}0]}}", (0..COUNT).map(entity).collect::<Vec<_>>().concat()))
}
