#!/bin/sh
# The long run of the crash test: kills the program at random moments, 30 times for each of four
# formats, and checks after every completion that each page has one record. Takes some minutes.
#
#   tools/kill-9.sh [KILLS]
set -eu
cd "$(dirname "$0")/.."

venv="${CARGO_TARGET_DIR:-target}/readers"
[ -x "$venv/bin/python" ] || {
    echo "run .ci/run first: it installs the Python that reads the results" >&2
    exit 2
}
HARVESTMAN_TEST_PYTHON=$(realpath "$venv/bin")/python
HARVESTMAN_TEST_KILLS=${1:-30}
export HARVESTMAN_TEST_PYTHON HARVESTMAN_TEST_KILLS
exec cargo test --release -p harvestman-service --test run crash:: -- --nocapture
