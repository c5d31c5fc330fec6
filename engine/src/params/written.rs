//! Parameters as users write them, at random, for the tests.

use proptest::{collection::btree_map, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// Every parameter there is.
pub(crate) const KEYS: &[&str] = &[
    "render",
    "proxy_type",
    "country",
    "session_id",
    "extract",
    "extract_options",
    "retry",
    "method",
    "headers",
    "cookies",
    "body",
    "user_agent",
    "timeout_ms",
    "max_bytes",
    "accept_status",
    "follow_redirects",
    "wait_for",
    "wait_ms",
    "block_resources",
    "screenshot",
    "actions",
    "formats",
    "respect_robots",
];

/// An object with some of the parameters, among them nulls.
pub(crate) fn params() -> impl Strategy<Value = Value> {
    let some = KEYS.iter().map(|key| option::weighted(0.4, value(key))).collect::<Vec<_>>();
    some.prop_map(|values| {
        let said = KEYS.iter().zip(values).filter_map(|(key, value)| Some((*key, value?)));
        Value::Object(said.map(|(key, value)| (key.to_owned(), value)).collect())
    })
}

/// Any JSON value, of moderate depth.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(".{0,4}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn value(key: &str) -> BoxedStrategy<Value> {
    let some = match key {
        "proxy_type" => select(vec!["datacenter", "residential", "mobile"]).prop_map_into().boxed(),
        "country" => "[a-zA-Z]{2}".prop_map(Value::from).boxed(),
        "session_id" | "wait_for" => "[a-z]{1,3}".prop_map(Value::from).boxed(),
        "extract" => select(vec![
            json!({"a": "string"}),
            json!({"price": "nullable number · in euros", "b": {"selector": ".x", "all": true}}),
        ])
        .boxed(),
        "extract_options" => (any::<bool>(), any::<bool>())
            .prop_map(|(strict, meta)| json!({"strict": strict, "meta": meta}))
            .boxed(),
        "retry" => (0..11, any::<bool>())
            .prop_map(|(max, escalate)| json!({"max": max, "on": ["5xx"], "escalate": escalate}))
            .boxed(),
        "method" => select(vec!["get", "POST", "Head"]).prop_map_into().boxed(),
        "headers" => headers().boxed(),
        "cookies" => btree_map("[a-c]", "[ -:<-~]{0,3}", 0..3).prop_map(|map| json!(map)).boxed(),
        "body" => json().boxed(),
        "user_agent" => "[ -~é]{0,5}".prop_map(Value::from).boxed(),
        "timeout_ms" => (1_000..120_001).prop_map(Value::from).boxed(),
        "max_bytes" => (1..=u32::MAX).prop_map(Value::from).boxed(),
        "accept_status" => prop::collection::vec(status(), 0..3).prop_map(Value::from).boxed(),
        "follow_redirects" => (0..51).prop_map(Value::from).boxed(),
        "wait_ms" => (0..120_001).prop_map(Value::from).boxed(),
        "screenshot" => select(vec![json!(true), json!(false), json!("full")]).boxed(),
        "actions" => prop::collection::vec(action(), 0..3).prop_map(Value::from).boxed(),
        "formats" => prop::collection::vec(select(vec!["data", "html", "links"]), 0..3)
            .prop_map(Value::from)
            .boxed(),
        _ => any::<bool>().prop_map(Value::from).boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 6 => some].boxed()
}

fn action() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"click": "a.more"}),
        json!({"type": {"selector": "#q", "text": "lamp"}}),
        json!({"scroll": -80}),
        json!({"scroll": "bottom"}),
        json!({"scroll": "#end"}),
        json!({"wait": 500}),
        json!({"wait": "h1"}),
        json!({"select": {"selector": "#size", "text": "L"}}),
        json!({"press": "Enter"}),
    ])
}

/// Few names, so that lines and defaults meet; nulls remove.
fn headers() -> impl Strategy<Value = Value> {
    let name = select(vec!["Accept", "X-A", "X-B", "X-C", "cookie", "X-D", "Accept-Language"]);
    btree_map(name, option::weighted(0.7, "[ -~é]{0,3}"), 0..6).prop_map(|map| json!(map))
}

fn status() -> impl Strategy<Value = Value> {
    prop_oneof![
        (100..600).prop_map(Value::from),
        (1..6).prop_map(|class| json!(format!("{class}xx")))
    ]
}
