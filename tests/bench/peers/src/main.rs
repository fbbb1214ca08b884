//! Compares our servers with others. `README.md` says how to run it and what the figures mean.

mod cases;
mod load;
mod measure;
mod peers;
mod process;
mod results;
mod servers;

use crate::cases::{CASES, Case};
use crate::load::Trust;
use crate::measure::{Bench, Counter};
use crate::peers::{PEERS, output};
use crate::process::Certificate;
use crate::results::{Row, heading, tables};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use ws_bench::system;

const USAGE: &str = "\
ws-peers [--rounds N] [--no-counts] [--cases TEXT] [--peers TEXT]
  --rounds N     how often each is measured (default 5)
  --no-counts    no instructions and no system calls
  --cases TEXT   only cases whose names contain it
  --peers TEXT   only peers whose names contain it
With all cases and peers it writes results.md; otherwise it only prints.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // A process that a measurement starts.
        ["serve", name] => servers::serve(name, None),
        ["serve", name, chain, key] => servers::serve(name, Some((chain, key))),
        _ => Wanted::new(&arguments).and_then(|wanted| compare(&wanted)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Wanted {
    rounds: usize,
    counts: bool,
    cases: Option<String>,
    peers: Option<String>,
}

impl Wanted {
    fn new(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut wanted = Self { rounds: 5, counts: true, cases: None, peers: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().cloned().ok_or(USAGE);
            match argument.as_str() {
                "--rounds" => wanted.rounds = value()?.parse()?,
                "--no-counts" => wanted.counts = false,
                "--cases" => wanted.cases = Some(value()?),
                "--peers" => wanted.peers = Some(value()?),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(wanted)
    }

    fn is_whole(&self) -> bool {
        self.counts && self.cases.is_none() && self.peers.is_none()
    }
}

fn compare(wanted: &Wanted) -> Result<(), Box<dyn Error>> {
    system::raise_descriptors();
    let folder = std::env::temp_dir().join(format!("ws-peers-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let result = compare_in(wanted, &folder);
    fs::remove_dir_all(&folder)?;
    result
}

fn compare_in(wanted: &Wanted, folder: &Path) -> Result<(), Box<dyn Error>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let core = system::core(0).ok_or("no core")?;
    system::pin(1);
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let key_pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.self_signed(&key_pair)?;
    fs::write(&chain, certificate.pem())?;
    fs::write(&key, key_pair.serialize_pem())?;
    let trust = Trust::new(certificate.der().clone())?;
    let bench = Bench { certificate: Certificate { chain: &chain, key: &key }, trust, core, folder };

    let contains = |name: &str, text: &Option<String>| text.as_ref().is_none_or(|text| name.contains(text));
    let (mut peers, mut notes) = (Vec::new(), Vec::new());
    for (index, peer) in PEERS.iter().enumerate().filter(|(_, peer)| contains(peer.name, &wanted.peers)) {
        match peer.program.versions() {
            Some(_) => peers.push((index, peer)),
            None => notes.push(format!("{}: not installed", peer.name)),
        }
    }
    let cases: Vec<&Case> = CASES.iter().filter(|case| contains(&case.to_string(), &wanted.cases)).collect();

    let started = Instant::now();
    let progress = |what: &str| eprintln!("{:4} s  {what}", started.elapsed().as_secs());
    let mut rows: Vec<_> = cases.iter().map(|case| Row::new(case, None)).collect();
    for round in 0..wanted.rounds {
        for row in rows.iter_mut().filter(|row| round < row.case.kind.rounds(wanted.rounds)) {
            progress(&format!("round {}: {}, {}", round + 1, row.case.kind.unit(), row.case));
            for (index, peer) in &peers {
                // One that has failed in an earlier round is not tried again.
                if row.cells[*index].len() == round {
                    row.push(*index, bench.measure(peer, row.case), &mut notes)?;
                }
            }
        }
    }
    let counters = [Counter::Instructions, Counter::SystemCalls].into_iter().filter(|_| wanted.counts);
    for counter in counters {
        if output(counter.program(), &["--version"]).is_none() {
            notes.push(format!("{}: not counted, as {} is not installed", counter.unit(), counter.program()));
            continue;
        }
        for case in cases.iter().filter(|case| case.counted[1] > 0) {
            progress(&format!("{}, {case}", counter.unit()));
            let mut row = Row::new(case, Some(counter));
            for (index, peer) in &peers {
                if counter == Counter::SystemCalls || peer.program.is_compiled() {
                    row.push(*index, bench.count(counter, peer, case), &mut notes)?;
                }
            }
            rows.push(row);
        }
    }
    let text = heading(cores, wanted.rounds, &peers, &notes) + &tables(&rows, &peers);
    println!("{text}");
    if wanted.is_whole() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("results.md"), text)?;
    }
    Ok(())
}
