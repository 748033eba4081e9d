# make run     build and start doorward and doorward-artifacts on this machine, data under ./data
# make check   format, lints, documentation, and the tests of the parts: the fast inner loop
# make test    everything that proves the product, real clients and a real browser included
# make compose  docker-compose.yml for real: builds the images, walks the golden path through them; needs root and Debian
# make bench   how fast both servers start, how much memory they hold, how soon a revocation is heard, and what the time of a sign-in tells
# make faults  ten thousand revocations on each store, the server killed in the middle of them: how many were lost
# make audit   known weaknesses and licences of dependencies; needs cargo-deny and its advisory list

.PHONY: run check test compose bench faults audit programs install

programs:
	cargo build --release --bin doorward --bin doorward-artifacts

run: programs
	@deploy/run

install:
	@tests/install
	@tests/install-nextest

check: install
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --all-features --no-deps
	tests/with-stores cargo nextest run --workspace --exclude e2e

test: install
	cargo build --workspace
	tests/with-stores cargo nextest run --workspace

compose:
	@tests/install-nextest
	tests/compose/run

bench: install programs
	tests/bench-start
	tests/with-stores cargo bench --quiet --package e2e --bench revocation
	cargo bench --quiet --package e2e --bench sign_in

faults: install programs
	tests/with-stores cargo bench --quiet --package e2e --bench kills

audit:
	cargo deny check
