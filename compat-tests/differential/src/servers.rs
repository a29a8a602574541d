//! The processes under comparison: a shell script starts each one, or each ensemble, this keeps it and ends it.

use crate::admin::Admin;
use crate::profile::{JVMFLAGS, Profile};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub struct Server {
    pub kind: String,
    starter: PathBuf,
    directory: PathBuf,
    profile: Profile,
    starts: usize,
    child: Option<Child>,
    /// Of each member, the leader's first; of a server alone its only one.
    addresses: Vec<SocketAddr>,
    /// One on each member.
    admins: Vec<Admin>,
}

impl Server {
    /// `starter KIND DIRECTORY zoo.cfg-line...` starts a server, prints its port, and ends it when its input ends. With
    /// several kinds, separated by commas, it starts an ensemble and prints all ports.
    pub fn start(
        kind: &str,
        starter: &Path,
        directory: PathBuf,
        profile: &Profile,
    ) -> Result<Server> {
        let mut server = Server {
            kind: kind.to_string(),
            starter: starter.to_path_buf(),
            directory,
            profile: *profile,
            starts: 0,
            child: None,
            addresses: Vec::new(),
            admins: Vec::new(),
        };
        server.restart()?;
        Ok(server)
    }

    /// Starts a new server on empty directories, ending the earlier one.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        self.starts += 1;
        let directory = self
            .directory
            .join(format!("{}-{}", self.profile.name, self.starts));
        let mut child = Command::new("bash")
            .arg(&self.starter)
            .arg(&self.kind)
            .arg(&directory)
            .args(self.profile.lines())
            .env("JVMFLAGS", JVMFLAGS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run the starter")?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        self.child = Some(child);
        let ports: Vec<u16> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        ensure!(!ports.is_empty(), "{} did not start", self.kind);
        let address = |port: &u16| SocketAddr::from(([127, 0, 0, 1], *port));
        self.addresses = ports.iter().map(address).collect();
        self.admins = self
            .addresses
            .iter()
            .map(|address| Admin::open(*address))
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// At the leader.
    pub fn admin(&mut self) -> Result<&mut Admin> {
        self.admins.first_mut().context("the server is not running")
    }

    pub fn admins(&mut self) -> &mut [Admin] {
        &mut self.admins
    }

    /// The leader's.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where the clients of a script find their servers: each at a member of its own, as far as there are any.
    pub fn addresses(&self, turn: u64) -> Vec<SocketAddr> {
        let mut addresses = self.addresses.clone();
        let members = addresses.len().max(1) as u64;
        addresses.rotate_left((turn % members) as usize);
        addresses
    }

    /// Fails if the process has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else {
            anyhow::bail!("not running")
        };
        ensure!(child.try_wait()?.is_none(), "{} ended by itself", self.kind);
        Ok(())
    }

    /// How many transactions said something else of the tree than the server found when it applied them.
    pub fn digest_mismatches(&self) -> Result<u64> {
        let counts = self.addresses.iter().map(digest_mismatches_at);
        Ok(counts.collect::<Result<Vec<u64>>>()?.iter().sum())
    }

    /// Java's prep is known to promise wrongly in cases that only a test comes upon.
    pub fn promises_rightly(&self) -> bool {
        self.kind.starts_with("ferrokeeper")
    }

    fn stop(&mut self) {
        self.admins.clear();
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

fn digest_mismatches_at(address: &SocketAddr) -> Result<u64> {
    const NAME: &str = "zk_digest_mismatches_count\t";
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"mntr")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let count = text.lines().find_map(|line| line.strip_prefix(NAME));
    Ok(count.context("mntr tells no mismatches")?.trim().parse()?)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
