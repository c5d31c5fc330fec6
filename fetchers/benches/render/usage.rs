//! What processes use, as the system counts it.

use std::{collections::HashMap, fs};

/// How many parts of a second the system counts time in, on every Linux of today.
const TICKS: f64 = 100.0;
const PAGE_BYTES: u64 = 4_096;

/// The use of a process and its descendants.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// What they share with nobody, in bytes.
    pub(crate) memory: u64,
    /// Seconds, with those of children that have ended.
    pub(crate) cpu: f64,
}

impl Usage {
    pub(crate) fn of(root: u32) -> Self {
        let (mut open, mut sum) = (vec![root], Self::default());
        let children = children();
        while let Some(id) = open.pop() {
            open.extend(children.get(&id).into_iter().flatten());
            sum.memory += memory(id);
            sum.cpu += cpu(id);
        }
        sum
    }
}

/// All processes by their parent.
pub(crate) fn children() -> HashMap<u32, Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        children.entry(field(id, 1) as u32).or_default().push(id);
    }
    children
}

fn memory(id: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
    let mut pages = statm.split(' ').skip(1).map(|pages| pages.parse().unwrap_or(0));
    let (resident, shared): (u64, u64) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared) * PAGE_BYTES
}

/// User and system time, of the process and of its children that have ended.
fn cpu(id: u32) -> f64 {
    (11..15).map(|place| field(id, place)).sum::<u64>() as f64 / TICKS
}

/// A field of a process's `stat`, counted from behind its name, which may hold anything.
fn field(id: u32, place: usize) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').nth(place).and_then(|field| field.parse().ok()).unwrap_or(0)
}
