//! The arrows between the crates, as ARCHITECTURE.md draws them.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use std::collections::{BTreeSet, HashMap};

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, PackageId};

/// The crates that know the engine only.
const SIBLINGS: [&str; 5] = [
    "harvestman-sources",
    "harvestman-fetchers",
    "harvestman-extractors",
    "harvestman-sinks",
    "harvestman-storage",
];

/// What the engine must not bring into a program that embeds it: clients, parsers, columns,
/// compression.
const TOO_HEAVY: [&str; 11] = [
    "arrow-array",
    "dom_query",
    "flate2",
    "html5ever",
    "hyper",
    "lol_html",
    "object_store",
    "parquet",
    "reqwest",
    "rustls",
    "zstd",
];

/// The most crates that the engine may bring along on all platforms together, itself included.
const MAX_ENGINE_CRATES: usize = 115;
/// The same with the engine of many jobs and its embedded store.
const MAX_JOBS_CRATES: usize = 145;

fn metadata() -> Metadata {
    MetadataCommand::new().exec().unwrap()
}

/// What a workspace crate depends on directly when it is used, by name.
fn direct(metadata: &Metadata, name: &str) -> BTreeSet<String> {
    dependencies(metadata, name, |_| true)
}

fn dependencies(
    metadata: &Metadata,
    name: &str,
    is_meant: impl Fn(&Dependency) -> bool,
) -> BTreeSet<String> {
    let package = metadata.workspace_packages().into_iter().find(|found| *found.name == name);
    let dependencies = &package.unwrap().dependencies;
    let normal = dependencies.iter().filter(|found| found.kind == DependencyKind::Normal);
    normal.filter(|found| is_meant(found)).map(|found| found.name.clone()).collect()
}

/// What comes into a program with a workspace crate by way of these dependencies, by name.
fn transitive(metadata: &Metadata, name: &str, by: &BTreeSet<String>) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: HashMap<&PackageId, String> =
        metadata.packages.iter().map(|found| (&found.id, found.name.to_string())).collect();
    let root = metadata.workspace_packages().into_iter().find(|found| *found.name == name);
    let mut open = vec![&root.unwrap().id];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(names[id].clone()) {
            continue;
        }
        let normal = nodes[id].deps.iter().filter(|dependency| {
            let is_normal =
                dependency.dep_kinds.iter().any(|found| found.kind == DependencyKind::Normal);
            is_normal && (names[id] != name || by.contains(&names[&dependency.pkg]))
        });
        open.extend(normal.map(|dependency| &dependency.pkg));
    }
    seen
}

fn ours(dependencies: BTreeSet<String>) -> Vec<String> {
    dependencies.into_iter().filter(|name| name.starts_with("harvestman")).collect()
}

#[test]
fn the_engine_knows_nobody() {
    assert!(ours(direct(&metadata(), "harvestman-engine")).is_empty());
}

#[test]
fn siblings_know_the_engine_only() {
    let metadata = metadata();
    for sibling in SIBLINGS {
        assert_eq!(ours(direct(&metadata, sibling)), ["harvestman-engine"], "{sibling}");
    }
}

#[test]
fn the_facade_knows_the_engine_and_the_siblings() {
    let mut expected = Vec::from(SIBLINGS);
    expected.push("harvestman-engine");
    expected.sort_unstable();
    assert_eq!(ours(direct(&metadata(), "harvestman")), expected);
}

#[test]
fn the_service_uses_the_facade_as_anybody_would() {
    let expected = ["harvestman", "harvestman-shop"];
    assert_eq!(ours(direct(&metadata(), "harvestman-service")), expected);
}

#[test]
fn the_shop_stands_for_the_web_and_knows_nobody() {
    assert!(ours(direct(&metadata(), "harvestman-shop")).is_empty());
}

/// With no feature, and with the features that make it the engine of many jobs.
#[test]
fn the_engine_is_light() {
    let metadata = metadata();
    let needed = dependencies(&metadata, "harvestman-engine", |found| !found.optional);
    let all = direct(&metadata, "harvestman-engine");
    for (by, most) in [(needed, MAX_ENGINE_CRATES), (all, MAX_JOBS_CRATES)] {
        let crates = transitive(&metadata, "harvestman-engine", &by);
        for heavy in TOO_HEAVY {
            assert!(!crates.contains(heavy), "the engine brings {heavy}");
        }
        assert!(crates.contains("tokio"), "the walk goes below the engine");
        assert!(crates.len() <= most, "the engine brings {} crates", crates.len());
    }
}
