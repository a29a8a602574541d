//! A member from its configuration: what its peer is told of disk and ensemble, and the sockets that it opens.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::acks::Acks;
use super::config_files::ConfigFiles;
use super::masters::Masters;
use super::receive::Snapshots;
use super::times::Times;
use super::{Core, Member, MemberSettings, Stores, Voice};
use crate::config::Config;
use crate::ids::{Epoch, ServerId, Zxid};
use crate::membership::change;
use crate::net::election::{ElectionInbox, ElectionNet, ElectionNetConfig};
use crate::net::peer_auth::PeerAuth;
use crate::net::peer_stream::PeerSecurity;
use crate::net::quorum::{self, Dialling, LinkLimits, Links};
use crate::pipeline::{Pipeline, Wake};
use crate::server::ServerError;
use crate::server::client_port::ClientPort;
use crate::storage::snapshot::Limits;
use crate::storage::{Epochs, LogHandle};
use crate::zab::{Durable, Input, LogShape, Peer, PeerConfig, Status, Timestamp};

/// How long an election listens for better votes once it has a quorum.
const FINALIZE_WAIT_MS: u64 = 200;
/// A learner that lacks more than this gets a snapshot: it is quicker.
const HISTORY_SENT_MAX: u64 = 100_000;
/// Bytes that a follower may have left unacknowledged.
const BYTES_IN_FLIGHT_MAX: u64 = 256 << 20;

/// What the peer is told once.
pub(super) fn peer_config(config: &Config, id: ServerId) -> PeerConfig {
    let ensemble = &config.ensemble;
    PeerConfig {
        id,
        tick_ms: u64::from(config.tick_ms),
        init_limit: u64::from(ensemble.init_limit_ticks),
        sync_limit: u64::from(ensemble.sync_limit_ticks),
        connect_limit: u64::from(ensemble.connect_to_leader_limit_ticks.unwrap_or(0)),
        min_notification_ms: u64::from(ensemble.election.notification_ms_min),
        max_notification_ms: u64::from(ensemble.election.notification_ms_max),
        finalize_wait_ms: FINALIZE_WAIT_MS,
        observer_election_delay_ms: chance_below(u64::from(ensemble.observer_election_ms_max)),
        observer_dial_delay_ms_max: u64::from(ensemble.observer_reconnect_ms_max),
        counter_end: u32::MAX,
        reconfig_enabled: config.reconfig_enabled,
        serves_observers: ensemble.observer_master_port.is_some(),
        committed: config.membership.clone(),
        last_seen: config.last_seen.clone(),
        history_sent_max: HISTORY_SENT_MAX,
        always_snapshot: ensemble.always_snapshot,
        snapshot_syncs_max: u64::from(ensemble.snapshot_syncs_max),
        diff_syncs_max: u64::from(ensemble.diff_syncs_max),
        epoch_wait_ms_max: ensemble.epoch_wait_ms_max.map(u64::from),
        bytes_in_flight_max: BYTES_IN_FLIGHT_MAX,
    }
}

/// What the log holds, without its bytes.
fn shape(log: &LogHandle) -> Result<LogShape, ServerError> {
    let runs = log.runs()?;
    let zxids = runs.runs.into_iter();
    let zxids = zxids.map(|(first, last)| (Zxid(first), Zxid(last)));
    LogShape::read(Zxid(runs.base), zxids)
        .map_err(|gap| ServerError::Ensemble(format!("the log has a hole: {gap}")))
}

/// Whether this server may have voted for what it has not any more: nothing is here, and nobody said that this is how it
/// begins. That is said by the file `initialize` beside the log's directory, which counts once, and by `db.autocreate`.
fn may_have_lost_data(
    data_log_dir: &Path,
    autocreate: bool,
    epochs: &mut Epochs,
    shape: &LogShape,
) -> Result<bool, ServerError> {
    if shape.last() > Zxid(0) || epochs.current().is_some() {
        return Ok(false);
    }
    let marker = data_log_dir.join("initialize");
    if marker.exists() {
        // From now on the file of the epoch says it.
        epochs.set_current(0)?;
        std::fs::remove_file(&marker)
            .map_err(|e| ServerError::Ensemble(format!("removing {}: {e}", marker.display())))?;
        tracing::info!(
            "{} is there: beginning with an empty tree",
            marker.display()
        );
        return Ok(false);
    }
    if !autocreate {
        tracing::warn!(
            "no data here, and no {}: without a vote until a leader has sent its tree (db.autocreate=false)",
            marker.display()
        );
    }
    Ok(!autocreate)
}

/// What the disk holds. Where an epoch's file is missing the epoch of the last transaction stands in for it.
pub(super) fn durable(epochs: &Epochs, shape: LogShape, delivered: Zxid) -> Durable {
    let of_log = shape.last().epoch();
    let current_epoch = epochs.current().map_or(of_log, Epoch);
    Durable {
        accepted_epoch: epochs.accepted().map_or(of_log, Epoch).max(current_epoch),
        current_epoch,
        log: shape,
        delivered,
        may_have_lost_data: false,
    }
}

impl Member {
    /// Opens the election port and joins the pipeline; [`Member::begin`] starts the election.
    pub(in crate::server) async fn new(
        config: &Config,
        id: ServerId,
        pipeline: Arc<Pipeline>,
        mut stores: Stores,
        security: PeerSecurity,
        auth: Option<Arc<PeerAuth>>,
    ) -> Result<(Arc<Member>, ElectionInbox), ServerError> {
        let port = &config.ensemble.election;
        let reachability_check = config.ensemble.reachability_check_ms;
        let reachability_check = reachability_check.map(|ms| Duration::from_millis(ms.into()));
        let net = ElectionNetConfig {
            id,
            committed: config.membership.clone(),
            last_seen: config.last_seen.clone(),
            listen_on_all_addresses: config.ensemble.listen_on_all_addresses,
            connect_timeout: Duration::from_millis(port.connect_timeout_ms.into()),
            handshake_timeout: Duration::from_millis(port.handshake_timeout_ms),
            tcp_keepalive: port.tcp_keepalive,
            bind_attempts_max: port.bind_attempts_max,
            multiple_addresses: config.ensemble.multiple_addresses,
            reachability_check,
            security: security.clone(),
            auth: auth.clone(),
        };
        let (election, inbox) = ElectionNet::start(net)
            .await
            .map_err(|e| ServerError::Ensemble(e.to_string()))?;
        let peer_config = peer_config(config, id);
        let config_files = ConfigFiles::of(config, id)?;
        let delivered = pipeline.tree().applied_zxid();
        let connect_ticks = config
            .ensemble
            .connect_to_leader_limit_ticks
            .unwrap_or(config.ensemble.init_limit_ticks);
        let settings = MemberSettings {
            id,
            listen_on_all_addresses: config.ensemble.listen_on_all_addresses,
            dialling: Dialling {
                limit: ticks(config, connect_ticks),
                pause: Duration::from_millis(config.ensemble.leader_connect_retry_ms.into()),
                check: reachability_check,
            },
            observer_reconnect_ms_max: config.ensemble.observer_reconnect_ms_max.into(),
            link_limits: LinkLimits {
                packet_bytes_max: field_bytes_max(config),
                snapshot_silence: ticks(config, config.ensemble.init_limit_ticks),
            },
            handshake_limit: ticks(config, config.ensemble.init_limit_ticks),
            auth,
            observer_master_port: config.ensemble.observer_master_port,
            change_limits: change::Limits {
                standalone_enabled: config.standalone_enabled,
                multiple_addresses: config.ensemble.multiple_addresses,
            },
            observes_lazily: !config.ensemble.observer_sync_enabled,
            read_only_after: super::read_only::grace(config),
            security,
        };
        let limits = Limits {
            field_bytes_max: field_bytes_max(config),
        };
        let began = Instant::now();
        let shape = shape(&stores.log)?;
        let mut durable = durable(&stores.epochs, shape.clone(), delivered);
        durable.may_have_lost_data = may_have_lost_data(
            &config.data_log_dir,
            config.db_autocreate,
            &mut stores.epochs,
            &shape,
        )?;
        let peer = Peer::new(Timestamp::default(), peer_config, durable);
        let member = Arc::new(Member {
            settings,
            core: Mutex::new(Core {
                peer,
                out: Vec::new(),
                later: VecDeque::new(),
                appended: Vec::new(),
                wake: Wake::Nobody,
                unflushed: Vec::new(),
                accepting: None,
                dialing: None,
                masters: Masters::default(),
                wake_at: None,
                proposing: false,
                accepted: false,
                has_log_jobs: false,
                leading_since: None,
                times: Times::begin(&pipeline.stats.metrics),
                acks: Acks::new(config.ensemble.ack_logging_frequency),
                deserted: 0,
                secluding: None,
            }),
            later: Mutex::default(),
            election,
            log: stores.log.clone(),
            state: stores.state,
            places: stores.places,
            links: Mutex::default(),
            numbers: Links::default(),
            inbound: quorum::places(),
            upstream: RwLock::new(None),
            snapshots: Snapshots::new(limits, config.extended_types_enabled),
            epochs: Mutex::new(stores.epochs),
            config_files: config_files.map(Mutex::new),
            client_port: OnceLock::new(),
            runtime: tokio::runtime::Handle::current(),
            timer: Notify::new(),
            leaving: AtomicBool::new(false),
            observes: AtomicBool::new(false),
            began,
            pipeline: pipeline.clone(),
        });
        pipeline.join(Arc::new(Voice(member.clone())), member.clone(), stores.log);
        Ok((member, inbox))
    }

    /// Looks for a leader, or becomes one. Without a port for clients there is none to move.
    pub(in crate::server) fn begin(
        self: &Arc<Self>,
        mut inbox: ElectionInbox,
        client_port: Option<Arc<ClientPort>>,
    ) {
        if let Some(port) = client_port {
            let first = self.client_port.set(port).is_ok();
            assert!(first, "a member begins once");
        }
        let member = self.clone();
        self.runtime.spawn(async move {
            loop {
                let (from, notification) = inbox.recv().await;
                member.input(Input::Notification(from, notification));
            }
        });
        self.seclude(&mut self.core.lock(), Status::Looking);
        self.input(Input::Tick);
        self.runtime.spawn(self.clone().run_timer());
    }
}

/// So that observers that lost the same leader do not all ask at once.
pub(super) fn chance_below(bound: u64) -> u64 {
    // Each one of these has keys of its own.
    let drawn = RandomState::new().hash_one(());
    drawn.checked_rem(bound).unwrap_or(0)
}

fn ticks(config: &Config, ticks: u32) -> Duration {
    Duration::from_millis(u64::from(config.tick_ms) * u64::from(ticks))
}

/// What readers of a packet allow one string or buffer.
fn field_bytes_max(config: &Config) -> usize {
    config.frame_bytes_max as usize + config.frame_bytes_extra as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::SystemProperties;

    #[test]
    fn an_empty_directory_has_lost_nothing_where_somebody_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let empty = LogShape::read(Zxid(0), []).unwrap();
        let lost = |autocreate, shape: &LogShape| {
            let mut epochs = Epochs::open(dir.path()).unwrap();
            may_have_lost_data(dir.path(), autocreate, &mut epochs, shape).unwrap()
        };
        assert!(!lost(true, &empty));
        assert!(lost(false, &empty));
        let used = LogShape::read(Zxid(0), [(Zxid::new(Epoch(1), 1), Zxid::new(Epoch(1), 2))]);
        assert!(!lost(false, &used.unwrap()));
        let marker = dir.path().join("initialize");
        std::fs::write(&marker, "").unwrap();
        assert!(!lost(false, &empty));
        assert!(!marker.exists(), "it counts once");
        assert!(!lost(false, &empty), "and is remembered");
        std::fs::remove_file(dir.path().join("currentEpoch")).unwrap();
        assert!(lost(false, &empty), "unless all is gone again");
    }

    fn peer_config_of(lines: &str) -> PeerConfig {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("myid"), "1").unwrap();
        let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
        let text = format!(
            "dataDir={}\nclientPort=2181\ninitLimit=10\nsyncLimit=5\n{members}{lines}",
            dir.path().display()
        );
        let file = dir.path().join("zoo.cfg");
        std::fs::write(&file, text).unwrap();
        let (config, _) = Config::load(&file, &SystemProperties::default()).unwrap();
        peer_config(&config, ServerId(1))
    }

    #[test]
    fn what_an_operator_sets_for_leaders_reaches_them() {
        let limits = |config: &PeerConfig| {
            let syncs = (config.snapshot_syncs_max, config.diff_syncs_max);
            (config.always_snapshot, syncs, config.epoch_wait_ms_max)
        };
        assert_eq!(limits(&peer_config_of("")), (false, (10, 100), None));
        let set = peer_config_of(
            "forceSnapshotSync=true\nleader.maxConcurrentSnapSyncs=3\nleader.maxConcurrentDiffSyncs=4\n\
             leader.maxTimeToWaitForEpoch=5000\n",
        );
        assert_eq!(limits(&set), (true, (3, 4), Some(5000)));
        let never = peer_config_of("leader.maxTimeToWaitForEpoch=-1\n");
        assert_eq!(limits(&never).2, None);
    }
}
