//! The processes under comparison: a shell script starts each one, this keeps it and ends it.

use crate::admin::Admin;
use crate::profile::{COMMON, JVMFLAGS, Profile};
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
    pub address: SocketAddr,
    admin: Option<Admin>,
}

impl Server {
    /// `starter KIND DIRECTORY zoo.cfg-line...` starts a server, prints its port, and ends it when its input ends.
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
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
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
            .args(COMMON)
            .args(self.profile.lines)
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
        let port = line
            .trim()
            .parse()
            .with_context(|| format!("{} did not start", self.kind))?;
        self.address = SocketAddr::from(([127, 0, 0, 1], port));
        self.admin = Some(Admin::open(self.address)?);
        Ok(())
    }

    pub fn admin(&mut self) -> Result<&mut Admin> {
        self.admin.as_mut().context("the server is not running")
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
        const NAME: &str = "zk_digest_mismatches_count\t";
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(b"mntr")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let count = text.lines().find_map(|line| line.strip_prefix(NAME));
        Ok(count.context("mntr tells no mismatches")?.trim().parse()?)
    }

    fn stop(&mut self) {
        self.admin = None;
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
