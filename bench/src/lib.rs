//! The load generator: drives one kind of work against a server of the ZooKeeper client protocol and measures it.
//! It ends with an error when any answer was not the expected one, or when nothing was completed.

mod bare;
mod churn;
mod client;
mod conn;
mod engine;
mod epoll;
mod fanout;
mod floor;
mod idle;
mod lock;
mod process;
mod report;
mod requests;
mod tree_shape;
mod wire;

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};

use client::Client;
use engine::Limits;
use report::{Meter, Report};
use requests::{Children, Fill, Multi, Numbered, ReadWrite, SetFilled, random_data};
use wire::op;

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    /// getData of random nodes
    Get,
    /// exists of random nodes
    Exists,
    /// getChildren of one node with --nodes children (default 100)
    Children,
    /// setData of random nodes
    Set,
    /// create of new nodes
    Create,
    /// delete of --ops nodes made before (default 100000)
    Delete,
    /// multi of --batch setData (default 10)
    Multi,
    /// getData and setData, --reads percent of getData
    Mixed,
    /// persistent watches of --connections sessions on one node; --depth changes under way
    Watch,
    /// the classic lock recipe with --connections contenders
    Lock,
    /// open and close sessions, --connections at a time
    Churn,
    /// hold --connections idle sessions
    Idle,
    /// create --nodes nodes of depth 4, in multis of --batch (default 1: plain create)
    Fill,
    /// setData of random nodes that `fill --nodes N` made
    SetFilled,
    /// the echo and fdatasync of this machine; needs --dir
    Floor,
    /// serve at --server, answer everything at once and keep nothing, until ended: what a load finds at best
    Bare,
    /// remove everything that an interrupted run left
    Clean,
}

#[derive(Parser)]
#[command(about, version)]
struct Args {
    kind: Kind,
    /// The members of an ensemble, with commas between them: connections go to each in turn
    #[arg(long, default_value = "127.0.0.1:2181", value_delimiter = ',')]
    server: Vec<String>,
    #[arg(long, short, default_value_t = 50)]
    connections: usize,
    /// Requests under way on a connection (closed loop)
    #[arg(long, short, default_value_t = 1)]
    depth: usize,
    /// Requests per second over all connections: open loop, latency from the time a request should have left
    #[arg(long)]
    rate: Option<f64>,
    /// Never sleep while replies are due: at depth 1 a latency is the server's then, without the generator's own
    /// wake-up. Takes a whole core
    #[arg(long)]
    poll: bool,
    /// Bytes of data in a node
    #[arg(long, default_value_t = 100)]
    size: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Stop after so many measured operations
    #[arg(long)]
    ops: Option<u64>,
    /// Seconds of the same work before the measurement
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    #[arg(long)]
    nodes: Option<u64>,
    #[arg(long, default_value_t = 90)]
    reads: u64,
    #[arg(long)]
    batch: Option<u64>,
    /// The node under which everything happens; removed afterwards
    #[arg(long, default_value = "/zkload")]
    root: String,
    /// Leave the nodes
    #[arg(long)]
    keep: bool,
    #[arg(long, default_value_t = 30000)]
    session_timeout: i32,
    /// The server's process, or all of them with commas: reports CPU time and memory, in sum
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    /// Where `floor` writes: the disk of the servers' data
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write the figures as JSON to this file, `-` for the standard output
    #[arg(long)]
    json: Option<String>,
}

/// Does what the arguments say. Help and failures are told under this name.
pub fn run(name: &'static str, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = std::iter::once(OsString::from(name)).chain(arguments);
    let matches = Args::command()
        .name(name)
        .bin_name(name)
        .try_get_matches_from(line);
    match matches.and_then(|found| Args::from_arg_matches(&found)) {
        Ok(args) => match drive(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("{name}: {e:#}");
                ExitCode::FAILURE
            }
        },
        Err(wrong) => {
            let _ = wrong.print();
            match wrong.use_stderr() {
                true => ExitCode::from(2),
                false => ExitCode::SUCCESS,
            }
        }
    }
}

fn drive(args: &Args) -> Result<()> {
    ensure!(
        args.connections > 0 && args.depth > 0,
        "--connections and --depth must be at least 1"
    );
    ensure!(args.nodes != Some(0), "--nodes must be at least 1");
    ensure!(args.rate.is_none_or(|r| r > 0.0), "--rate must be above 0");
    epoll::raise_descriptor_limit(args.connections as u64 + 50)?;
    if args.kind == Kind::Clean {
        return clean(args, &[&args.root, tree_shape::FILL_ROOT]);
    }
    if args.kind == Kind::Bare {
        let address = addresses(args)?[0];
        epoll::raise_descriptor_limit(BARE_PEERS_MAX)?;
        return bare::serve(address, &random_data(args.size));
    }
    let report = measure(args)?;
    let failure = report.failure();
    match args.json.as_deref() {
        Some("-") => {
            eprintln!("{}", report.line());
            println!("{}", report.json());
        }
        Some(path) => {
            println!("{}", report.line());
            fs::write(path, report.json() + "\n")
                .with_context(|| format!("cannot write {path}"))?;
        }
        None => println!("{}", report.line()),
    }
    match failure {
        Some(what) => bail!(what),
        None => Ok(()),
    }
}

/// Connections of the server without a store.
const BARE_PEERS_MAX: u64 = 2000;

fn address(server: &str) -> Result<SocketAddr> {
    let mut found = server
        .to_socket_addrs()
        .with_context(|| format!("--server {server}"))?;
    found
        .next()
        .with_context(|| format!("{server} has no address"))
}

fn addresses(args: &Args) -> Result<Vec<SocketAddr>> {
    args.server.iter().map(|server| address(server)).collect()
}

fn clean(args: &Args, roots: &[&str]) -> Result<()> {
    let mut client = Client::open(&addresses(args)?, args.session_timeout)?;
    for root in roots {
        client.purge(root)?;
    }
    client.close()
}

fn measure(args: &Args) -> Result<Report> {
    let mut meter = Meter::new(&args.pid)?;
    let name = args
        .kind
        .to_possible_value()
        .context("every work has a name")?
        .get_name()
        .to_string();
    let ns = |seconds: f64| (seconds * 1e9) as u64;
    if args.kind == Kind::Floor {
        let directory = args.dir.as_deref().context("floor needs --dir")?;
        let mut request = Vec::new();
        wire::set(
            &mut request,
            0,
            &format!("{}/n00000000", args.root),
            &random_data(args.size),
        );
        // A setData reply: frame length, header, Stat.
        let floor = floor::run(
            directory,
            request.len(),
            4 + 16 + 68,
            ns(args.warmup),
            ns(args.seconds),
            &mut meter,
        )?;
        let mut report = meter.report(&name, "writes");
        (report.connections, report.depth) = (1, 1);
        report.extra.push(("echo_p50_us", floor.echo_p50_us));
        report
            .extra
            .push(("fdatasync_p50_us", floor.fdatasync_p50_us));
        report
            .extra
            .push(("sum_of_p50_us", floor.echo_p50_us + floor.fdatasync_p50_us));
        return Ok(report);
    }

    let mut limits = Limits {
        servers: addresses(args)?,
        connections: args.connections,
        depth: args.depth,
        rate: args.rate,
        poll: args.poll,
        warmup_ns: ns(args.warmup),
        measured_ns: Some(ns(args.seconds)),
        ops: args.ops,
        session_timeout_ms: args.session_timeout,
    };
    let root = args.root.as_str();
    let data = random_data(args.size);
    let mut unit = "ops";
    let own_root = !matches!(
        args.kind,
        Kind::Churn | Kind::Idle | Kind::Fill | Kind::SetFilled
    );
    let mut client = Client::open(&limits.servers, args.session_timeout)?;
    if own_root {
        client.purge(root)?;
    }
    match args.kind {
        Kind::Get | Kind::Exists | Kind::Set | Kind::Mixed => {
            let nodes = args.nodes.unwrap_or(1000);
            ReadWrite::prepare(&mut client, root, nodes, &data)?;
            client.close()?;
            let reads = match args.kind {
                Kind::Mixed => args.reads,
                Kind::Set => 0,
                _ => 100,
            };
            let read_op = if args.kind == Kind::Exists {
                op::EXISTS
            } else {
                op::GET_DATA
            };
            engine::run(
                &limits,
                &mut ReadWrite::new(root, read_op, reads, nodes, &data),
                &mut meter,
            )?;
        }
        Kind::Children => {
            let mut work = Children::prepare(&mut client, root, args.nodes.unwrap_or(100))?;
            client.close()?;
            engine::run(&limits, &mut work, &mut meter)?;
        }
        Kind::Create => {
            Numbered::prepare(&mut client, root, limits.connections)?;
            client.close()?;
            engine::run(
                &limits,
                &mut Numbered::create(root, limits.connections, u64::MAX, &data),
                &mut meter,
            )?;
        }
        Kind::Delete => {
            let ops = args.ops.unwrap_or(100_000);
            Numbered::prepare_delete(&mut client, root, limits.connections, ops, &data)?;
            client.close()?;
            // Every node can be deleted once, so none is spent on a warm-up.
            limits.warmup_ns = 0;
            limits.measured_ns = None;
            limits.ops = None;
            let work = Numbered::delete(root, limits.connections, u64::MAX);
            engine::run(&limits, &mut work.share_evenly(ops), &mut meter)?;
        }
        Kind::Multi => {
            let batch = args.batch.unwrap_or(10);
            let nodes = args.nodes.unwrap_or(1000);
            ensure!(
                (1..=nodes).contains(&batch),
                "--batch must be from 1 to --nodes"
            );
            ReadWrite::prepare(&mut client, root, nodes, &data)?;
            client.close()?;
            unit = "multis";
            engine::run(
                &limits,
                &mut Multi::new(root, batch, nodes, &data),
                &mut meter,
            )?;
        }
        Kind::Watch => {
            client.close()?;
            unit = "notifications";
            fanout::run(&limits, root, &data, &mut meter)?;
        }
        Kind::Lock => {
            client.close()?;
            unit = "acquisitions";
            lock::run(&limits, root, &mut meter)?;
        }
        Kind::Churn => {
            client.close()?;
            unit = "sessions";
            churn::run(&limits, &mut meter)?;
        }
        Kind::Idle => {
            client.close()?;
            unit = "pings";
            idle::run(&limits, &mut meter)?;
        }
        Kind::Fill => {
            client.close()?;
            let nodes = args.nodes.context("fill needs --nodes")?;
            let mut work = Fill::prepare(
                &limits.servers,
                args.session_timeout,
                nodes,
                args.batch.unwrap_or(1),
                args.size,
            )?;
            limits.warmup_ns = 0;
            limits.measured_ns = None;
            unit = "znodes";
            engine::run(&limits, &mut work, &mut meter)?;
        }
        Kind::SetFilled => {
            client.close()?;
            let nodes = args
                .nodes
                .context("set-filled needs the --nodes of the fill")?;
            engine::run(&limits, &mut SetFilled::new(nodes, args.size), &mut meter)?;
        }
        Kind::Floor | Kind::Bare | Kind::Clean => bail!("handled before"),
    }
    if own_root && !args.keep {
        clean(args, &[root])?;
    } else if args.kind == Kind::Fill && !args.keep {
        clean(args, &[tree_shape::FILL_ROOT])?;
    }
    let mut report = meter.report(&name, unit);
    (report.connections, report.depth) = (args.connections, args.depth);
    Ok(report)
}
