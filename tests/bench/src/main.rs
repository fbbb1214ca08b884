//! The benchmarks. `README.md` says how to run them and what their columns mean.

mod clients;
mod flood;
mod floor;
mod frames;
mod idle;
mod peer;
mod table;
mod tls;
mod visits;

use std::error::Error;
use std::process::ExitCode;

const USAGE: &str = "\
ws-bench frames [--quick] [--work MICROS] [--tls]   frames on time while peers flood
ws-bench idle [--quick] [--clients N]               memory and CPU of idle connections
ws-bench clients [--quick] [--clients N]            connecting, keeping and using clients of ours";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let Some(command) = arguments.first() else { return Err(USAGE.into()) };
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let quick = has("--quick");
    let number = |name: &str| -> Result<Option<u64>, Box<dyn Error>> {
        let Some(at) = arguments.iter().position(|argument| argument == name) else { return Ok(None) };
        let value = arguments.get(at + 1).ok_or_else(|| format!("{name} needs a number"))?;
        Ok(Some(value.parse()?))
    };
    match command.as_str() {
        "frames" => frames::run(quick, number("--work")?.unwrap_or(0), has("--tls")),
        "idle" => idle::run(quick, number("--clients")?),
        "clients" => clients::run(quick, number("--clients")?),
        // The processes that the commands above start.
        "flood" => flood::run(&arguments[1..]),
        "serve-idle" => idle::serve(&arguments[1..]),
        "serve-floor" => floor::serve(),
        _ => Err(USAGE.into()),
    }
}
