//! `zkload`: the load generator as a program of its own, which builds in seconds.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrokeeper_bench::run("zkload", std::env::args_os().skip(1))
}
