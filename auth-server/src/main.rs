//! The program `doorward`.

use std::process::ExitCode;

use doorward::cli::{Order, fail};

/// Each password check takes 19 MiB for a moment. The system's allocator keeps that for every thread that ever checked one;
/// this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let order = Order::read();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(order.carry_out()),
        Err(error) => fail(&format_args!("the system gives no threads ({error}); free some and start again")),
    }
}
