//! Takes part in the elections of an ensemble, and does nothing else: no client and no learner can connect.
//!
//! `election-peer ID FILE EPOCH ZXID` with the members in FILE. Prints a line for each message
//! (`heard FROM STATE LEADER`) and one for the outcome (`decided STATUS`); goes on answering until it is ended.

use std::time::{Duration, Instant};

use ferrokeeper::ids::{Epoch, ServerId, Zxid};
use ferrokeeper::membership::Membership;
use ferrokeeper::net::election::{ElectionNet, ElectionNetConfig};
use ferrokeeper::zab::election::{Candidacy, Election, ElectionSettings, Outcome};
use ferrokeeper::zab::{Output, Timestamp};

fn main() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [id, file, epoch, zxid] = &arguments[..] else {
        panic!("usage: election-peer ID FILE EPOCH ZXID");
    };
    let text = std::fs::read_to_string(file).expect("the file of members");
    let committed: Membership = text.parse().expect("members");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    let candidacy = Candidacy {
        zxid: Zxid(number(zxid)),
        current_epoch: Epoch(number(epoch)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(run(ServerId(number(id)), committed, candidacy));
}

async fn run(id: ServerId, committed: Membership, candidacy: Candidacy) {
    let settings = ElectionSettings {
        id,
        min_notification_ms: 200,
        max_notification_ms: 2000,
        finalize_wait_ms: 200,
        reconfig_enabled: true,
    };
    let mut election = Election::new(settings, candidacy, &committed, None);
    let net = ElectionNetConfig {
        id,
        committed,
        last_seen: None,
        listen_on_all_addresses: false,
        connect_timeout: Duration::from_secs(5),
        handshake_timeout: Duration::from_secs(4),
        tcp_keepalive: false,
        bind_attempts_max: 3,
        multiple_addresses: false,
        reachability_check: None,
        security: Default::default(),
        auth: None,
    };
    let (net, mut inbox) = ElectionNet::start(net).await.expect("the election port");
    let began = Instant::now();
    let now = || Timestamp(began.elapsed().as_millis() as u64);
    let mut out = Vec::new();
    election.look(now(), candidacy, None, &mut out);
    loop {
        for output in out.drain(..) {
            if let Output::Notify(to, notification) = output {
                net.send(to, &notification);
            }
        }
        let deadline = election.deadline();
        let silence = async {
            match deadline {
                Some(at) => {
                    tokio::time::sleep(Duration::from_millis(at.0.saturating_sub(now().0))).await
                }
                None => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            (from, notification) = inbox.recv() => {
                println!("heard {from} {:?} {}", notification.state, notification.leader);
                election.on_notification(now(), from, &notification, &mut out)
            }
            () = silence => election.on_time(now(), &mut out),
        };
        match outcome {
            Some(Outcome::Decided(status)) => println!("decided {status:?}"),
            Some(Outcome::NewerConfig(config)) => {
                println!("newer configuration {:x}", config.version);
                election.set_configs(&config, None);
                net.reconfigure(&config, None);
                election.look(now(), candidacy, None, &mut out);
            }
            None => {}
        }
    }
}
