//! The program `doorward`.

use std::process::ExitCode;

use doorward::cli::{Order, fail};

fn main() -> ExitCode {
    let order = Order::read();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(order.carry_out()),
        Err(error) => fail(&format_args!("the system gives no threads ({error}); free some and start again")),
    }
}
