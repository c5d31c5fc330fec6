//! The names of the parameters.

macro_rules! params {
    ($($variant:ident = $text:literal;)+) => {
        /// A Scrape parameter, by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Param { $($variant,)+ }

        impl Param {
            /// Every parameter, in the order of the contract.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in JSON and as a column.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The parameter with this name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

params! {
    Render = "render";
    ProxyType = "proxy_type";
    Country = "country";
    SessionId = "session_id";
    Extract = "extract";
    ExtractOptions = "extract_options";
    Retry = "retry";
    Method = "method";
    Headers = "headers";
    Cookies = "cookies";
    Body = "body";
    UserAgent = "user_agent";
    TimeoutMs = "timeout_ms";
    MaxBytes = "max_bytes";
    AcceptStatus = "accept_status";
    FollowRedirects = "follow_redirects";
    WaitFor = "wait_for";
    WaitMs = "wait_ms";
    BlockResources = "block_resources";
    Screenshot = "screenshot";
    Actions = "actions";
    Formats = "formats";
    RespectRobots = "respect_robots";
}
