#!/bin/sh
# Fuzzes each parser of ours for so many seconds: pages, selectors, schemas, lists, jobs. What is found
# is kept in fuzz/artifacts, what was learnt in fuzz/corpus; neither is committed.
#
#   tools/fuzz.sh SECONDS [TARGET…]
set -eu
cd "$(dirname "$0")/.."

seconds=${1:?"tools/fuzz.sh SECONDS [TARGET…]"}
shift
[ $# -gt 0 ] || set -- page selector schema list job
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz
# cargo-fuzz asks for flags of nightly; the stable compiler has them too.
export RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0
target="${CARGO_TARGET_DIR:-target}/fuzz"

for name in "$@"; do
    printf '\n-- %s, %s s\n' "$name" "$seconds"
    mkdir -p "fuzz/corpus/$name"
    # Ten seconds for one input and 2 GB are findings, too.
    cargo fuzz run --target-dir "$target" "$name" "fuzz/corpus/$name" "fuzz/seeds/$name" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=0 \
        -print_funcs=0 -verbosity=0
done
