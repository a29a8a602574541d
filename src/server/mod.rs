//! The driver: opens the store, starts the threads and the listeners, and stops them in order. Answers to
//! `ZooKeeperServerMain`.

mod admin;
pub mod backup;
mod client_port;
mod ensemble;
mod footprint;
pub mod history;
mod keytab;
mod metrics_port;
pub mod migrate;
mod progress;
mod sasl;
mod status;
mod tls;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::admin::four_letter::{ConfigView, Whitelist};
use crate::auth::{AuthSettings, Providers};
use crate::config::{Config, ListenAddress, MetricsProvider};
use crate::ids::ServerId;
use crate::net::Words;
use crate::net::listener::{BACKLOG, ListenSettings};
use crate::net::loops::Loops;
use crate::net::security::Security;
use crate::ops::Rules;
use crate::pipeline::admission::RequestThrottleSettings;
use crate::pipeline::audit::{self, Outcome};
use crate::pipeline::connection_throttle::ConnectionThrottleSettings;
use crate::pipeline::recovery::Restoring;
use crate::pipeline::role::Role;
use crate::pipeline::sasl::{Mechanism, SaslSettings};
use crate::pipeline::{Pipeline, Settings};
use crate::storage::snapshot::Limits;
use crate::storage::{self, LogHandle, Replay, Room, Storage, StorageConfig, StorageError};
use admin::{AdminServer, Backup};
use client_port::ClientPort;
use ensemble::{Member, Stores};
use status::{Status, Told};
use tls::Securities;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("invalid configuration: {0}")]
    Config(String),
    #[error("cannot listen on {address}: {error}")]
    Listen {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error("Unable to start AdminServer on {address}: {error}")]
    Admin {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error("Cannot boot MetricsProvider: {address}: {error}")]
    Metrics {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error("cannot join the ensemble: {0}")]
    Ensemble(String),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

/// Cadence of the sweep over connections that never said who they are.
const SWEEP: Duration = Duration::from_secs(1);

/// Runs a server until it is told to stop.
pub fn run(config: &Config) -> Result<(), ServerError> {
    let began = Instant::now();
    let rules = rules(config)?;
    let sasl = sasl::accounts(&config.sasl)?;
    let settings = Settings {
        sasl: sasl
            .clients
            .map(|mechanism| sasl_settings(config, mechanism)),
        ..settings(config)
    };
    let securities = Securities::new(config)?;
    let listen = listen_settings(config, &securities)?;

    let mut restoring = Restoring::new(config.extended_types_enabled, config.tree_digest_enabled);
    let storage_config = StorageConfig {
        data_log_dir: config.data_log_dir.clone(),
        force_sync: config.force_sync,
        autocreate: config.data_dir_autocreate,
        fsync_warning_threshold_ms: config.fsync_warning_threshold_ms,
        replay: match config.is_distributed() {
            true => Replay::None,
            false => Replay::All,
        },
        ..StorageConfig::new(&config.data_dir)
    };
    let store = storage::open(&storage_config, &mut restoring)?;
    let opened = store.opened;
    let (pipeline, checkpoints) = Pipeline::new(restoring.finish(), rules, settings);
    tracing::info!(
        "{} nodes at zxid {} ({} transactions replayed) in {} ms",
        pipeline.tree().node_count(),
        pipeline.tree().last_zxid(),
        opened.replayed,
        began.elapsed().as_millis()
    );
    let metrics = &pipeline.stats.metrics;
    metrics.dbinittime.record(opened.took.as_millis() as i64);
    metrics.startup_txns_loaded.record(opened.replayed as i64);
    let Storage {
        log,
        state,
        room,
        epochs,
        places,
        ..
    } = store;
    let state = Arc::new(state);
    let log_handle = log.handle();
    let runtime = match config.is_distributed() {
        // For the connections between members.
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    }
    .enable_all()
    .build()?;
    let backup = Backup {
        pipeline: pipeline.clone(),
        state: state.clone(),
        places: (!config.is_distributed()).then(|| places.clone()),
        dir: config.data_dir.clone(),
        limits: snapshot_limits(config),
        extended_types: config.extended_types_enabled,
        has_digest: config.tree_digest_enabled,
        at_work: AtomicBool::new(false),
    };
    let member = match config.server_id.filter(|_| config.is_distributed()) {
        None => None,
        Some(id) => Some(runtime.block_on(Member::new(
            config,
            ServerId(id),
            pipeline.clone(),
            Stores {
                log: log_handle.clone(),
                state: state.clone(),
                places,
                epochs,
            },
            securities.peers.clone(),
            sasl.members,
        ))?),
    };
    let voice = member.as_ref().map(|(member, _)| member.clone());
    let status = Arc::new(status(config, &pipeline, voice.clone(), log_handle.clone()));
    let words: Arc<dyn Words> = status.clone();
    {
        let _inside = runtime.enter();
        let context = securities.admin.clone();
        if let Some(port) = AdminServer::open(config, context, status.clone(), backup)? {
            runtime.spawn(port.run());
        }
        let (log, state) = (log_handle.clone(), state.clone());
        if let Some(port) = metrics_port::open(config, status.clone(), log, state)? {
            runtime.spawn(port.run());
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let disk = {
        let pipeline = pipeline.clone();
        thread("disk", move || match pipeline.run_disk(log) {
            Ok(log) => drop(log),
            Err(e) => fatal(&e),
        })?
    };
    let checkpointer = {
        let pipeline = pipeline.clone();
        let retained = u64::from(config.retained_txns_min);
        let retained = config.autopurge.interval_ms.map(|_| retained);
        thread("checkpoint", move || {
            if let Err(e) = pipeline.run_checkpoints(checkpoints, &state, &log_handle, retained) {
                fatal(&e);
            }
        })?
    };
    let clock = {
        let (pipeline, stop) = (pipeline.clone(), stop.clone());
        let never_spoke = Duration::from_millis(u64::from(config.sessionless_timeout_ms));
        thread("clock", move || {
            run_clock(&pipeline, voice.as_deref(), &room, &stop, never_spoke)
        })?
    };

    let (loops, threads) = Loops::start(Loops::count())?;
    let certificates = securities.watch(stop.clone())?;
    // The one that a reconfiguration may move.
    let mut client_port = None;
    for Listen {
        address,
        settings,
        security,
    } in listen
    {
        let is_secure = matches!(security, Security::Tls(_));
        let at = settings.address;
        let (loops, pipeline) = (loops.clone(), pipeline.clone());
        let opened = ClientPort::open(address, settings, security, loops, pipeline, words.clone());
        let opened = opened.map_err(|error| ServerError::Listen { address: at, error })?;
        if !is_secure {
            client_port = Some(opened);
        }
    }
    let leaving = member.as_ref().map(|(member, _)| member.clone());
    if let Some((member, inbox)) = member {
        member.begin(inbox, client_port);
    }
    match config.audit_enabled {
        true => {
            tracing::info!("ZooKeeper audit is enabled.");
            audit::of_server("serverStart", Outcome::Success);
        }
        false => tracing::info!("ZooKeeper audit is disabled."),
    }
    let served = runtime.block_on(wait_for_signal());
    if config.audit_enabled {
        audit::of_server("serverStop", Outcome::Invoked);
    }
    // No new requests: what was accepted is finished, then everything is put away.
    loops.stop();
    for thread in threads {
        let _ = thread.join();
    }
    if let Some(member) = leaving {
        member.leave();
    }
    pipeline.stop();
    let _ = disk.join();
    pipeline.final_checkpoint();
    let _ = checkpointer.join();
    stop.store(true, Ordering::Relaxed);
    for helper in [Some(clock), certificates].into_iter().flatten() {
        helper.thread().unpark();
        let _ = helper.join();
    }
    served?;
    tracing::info!("Exiting normally");
    Ok(())
}

async fn wait_for_signal() -> Result<(), ServerError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!("{name}: stopping");
    Ok(())
}

/// After an error of the disk nothing may be acknowledged, and no state of the store can be trusted: a restart
/// finds out what is there.
fn fatal(error: &StorageError) -> ! {
    tracing::error!("Severe unrecoverable error, exiting: {error}");
    std::process::exit(error.exit_code());
}

/// Going on would risk what others rely on.
fn stop_at_once(why: &str) -> ! {
    tracing::error!("Severe unrecoverable error, exiting: {why}");
    std::process::exit(1);
}

pub fn thread(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(512 << 10)
        .spawn(run)
}

/// Ends sessions, connections that never spoke, containers and outdated nodes, when their time has come.
fn run_clock(
    pipeline: &Pipeline,
    member: Option<&Member>,
    room: &Room,
    stop: &AtomicBool,
    never_spoke: Duration,
) {
    let container = ContainerPace::new(pipeline.settings());
    let mut settled = false;
    let began_low = room.is_low();
    let mut next_sweep = Instant::now() + SWEEP;
    let mut next_check = Instant::now() + container.interval;
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let wait = pipeline
            .until_expiry()
            .min(next_sweep.saturating_duration_since(now))
            .min(next_check.saturating_duration_since(now));
        std::thread::park_timeout(wait.max(Duration::from_millis(1)));
        pipeline.expire_sessions();
        let now = Instant::now();
        if now >= next_sweep {
            next_sweep = now + SWEEP;
            if !settled {
                // Not at once: every thread has code that it runs first and never again.
                settled = true;
                footprint::drop_start_code();
            }
            pipeline.close_silent(never_spoke);
            if let Some(member) = member {
                member.note_committed();
            }
            room.check();
            if room.is_low() && !began_low && pipeline.role() == Role::Leading {
                // As a Java server ends at its first failed write. Whoever leads next may have space. If that comes
                // back full it refuses writes, so that members which are all full end up serving reads at least.
                stop_at_once("the disk is full, and others may lead");
            }
            pipeline.set_out_of_room(room.is_low());
        }
        if now >= next_check {
            next_check = now + container.interval;
            for path in pipeline.outdated_nodes() {
                pipeline.remove_outdated(&path);
                std::thread::park_timeout(container.pause);
                pipeline.expire_sessions();
            }
        }
    }
}

struct ContainerPace {
    interval: Duration,
    pause: Duration,
}

impl ContainerPace {
    fn new(settings: &Settings) -> ContainerPace {
        let off = settings.container_check_ms == 0 || settings.container_per_minute == 0;
        ContainerPace {
            interval: if off {
                Duration::from_secs(365 * 24 * 3600)
            } else {
                Duration::from_millis(settings.container_check_ms)
            },
            pause: Duration::from_millis(60_000 / settings.container_per_minute.max(1)),
        }
    }
}

fn rules(config: &Config) -> Result<Rules, ServerError> {
    let auth = &config.auth;
    let settings = AuthSettings {
        skip_acl: config.skip_acl,
        digest_enabled: auth.digest_enabled,
        digest_algorithm: auth.digest_algorithm.clone(),
        super_digest: auth.super_digest.as_ref().map(|s| s.reveal().to_owned()),
        provider_classes: auth.provider_classes.clone(),
        ensemble_names: auth.ensemble_names.clone(),
        let_any_sasl_user_do: auth.let_any_sasl_user_do.clone(),
        x509_super_user: auth.x509_super_user.clone(),
    };
    let providers = Providers::new(settings).map_err(|e| ServerError::Config(e.to_string()))?;
    if config.enforce_auth.enabled {
        providers
            .check_enforced_schemes(&config.enforce_auth.schemes)
            .map_err(|e| ServerError::Config(e.to_string()))?;
    }
    Ok(Rules {
        providers,
        extended_types: config.extended_types_enabled,
        enforce_quota: config.enforce_quota,
        close_session_lists_paths: config.close_session_txn_enabled,
        reconfig_enabled: config.reconfig_enabled,
    })
}

fn settings(config: &Config) -> Settings {
    Settings {
        session_id_byte: session_id_byte(config.server_id.filter(|_| config.is_distributed())),
        tick_ms: config.tick_ms as i32,
        session_timeout_ms_min: config.session_timeout_ms_min as i32,
        session_timeout_ms_max: config.session_timeout_ms_max as i32,
        frame_bytes_max: config.frame_bytes_max as usize,
        outstanding_max: config.global_outstanding_limit as usize,
        enforced_schemes: if config.enforce_auth.enabled {
            config.enforce_auth.schemes.clone()
        } else {
            Vec::new()
        },
        sasl: None,
        flush_delay_ms: config.flush_delay_ms,
        write_queue_poll_ms: config.write_queue_poll_ms_max,
        batch_max: config.batch_txns_max as usize,
        container_check_ms: u64::from(config.container.check_interval_ms),
        container_per_minute: u64::from(config.container.deletions_per_minute_max),
        container_never_used_ms: config.container.never_used_ms_max as i64,
        large_request_threshold: config
            .large_request
            .bytes_min
            .map_or(usize::MAX, |b| b as usize),
        large_request_bytes_max: config.large_request.in_flight_bytes_max as usize,
        request_throttle: request_throttle(config),
        connection_throttle: connection_throttle(config),
        local_sessions: has_local_sessions(config),
        local_session_upgrades: config.ensemble.local_sessions_upgrading_enabled,
        audit: config.audit_enabled,
        leader_serves: config.ensemble.leader_serves,
        eager_acl_check: config.eager_acl_check,
    }
}

/// The low byte of a member's number, as upstream takes it. A server alone has no number that counts.
fn session_id_byte(member: Option<i64>) -> u8 {
    member.map_or(1, |id| id as u8)
}

/// A server alone has nobody from whom to keep a session.
fn has_local_sessions(config: &Config) -> bool {
    config.is_distributed() && config.ensemble.local_sessions_enabled
}

fn sasl_settings(config: &Config, mechanism: Mechanism) -> SaslSettings {
    SaslSettings {
        mechanism,
        super_users: config.auth.sasl_super_users.clone(),
        lets_failed_go_on: config.auth.allow_sasl_failed_clients,
    }
}

fn request_throttle(config: &Config) -> Option<RequestThrottleSettings> {
    let throttle = &config.request_throttle;
    let millis = |ms: u32| Duration::from_millis(u64::from(ms));
    (throttle.requests_max > 0).then(|| RequestThrottleSettings {
        requests_max: throttle.requests_max as usize,
        stall: millis(throttle.stall_ms),
        drop_stale: throttle.drop_stale,
        stale_connection_check: throttle.stale_connection_check,
        stale_latency_check: throttle.stale_latency_check,
        op_wait: config.throttled_op_wait_time_ms.map(millis),
    })
}

/// The bucket is configured in tokens of new sessions: where those weigh more, it holds and gets more.
fn connection_throttle(config: &Config) -> Option<ConnectionThrottleSettings> {
    let throttle = &config.connection_throttle;
    let weights = &throttle.weights;
    let new_session = weights.map_or(1, |w| i64::from(w.global_session));
    (throttle.tokens_max > 0).then(|| ConnectionThrottleSettings {
        tokens_max: i64::from(throttle.tokens_max) * new_session,
        fill_interval_ms: i64::from(throttle.fill_interval_ms),
        fill_tokens: i64::from(throttle.fill_tokens) * new_session,
        freeze_ms: throttle.freeze_ms.map(i64::from),
        drop_increase: throttle.drop_increase,
        drop_decrease: throttle.drop_decrease,
        decrease_ratio: throttle.decrease_ratio,
        new_session_tokens: match weights {
            Some(weights) if has_local_sessions(config) => i64::from(weights.local_session),
            _ => new_session,
        },
        renewed_session_tokens: weights.map_or(1, |w| i64::from(w.renewed_session)),
    })
}

/// A port for clients.
struct Listen {
    address: ListenAddress,
    settings: ListenSettings,
    security: Security,
}

fn listen_settings(config: &Config, securities: &Securities) -> Result<Vec<Listen>, ServerError> {
    let unified = config.client_tls.as_ref().is_some_and(|tls| tls.unified);
    let mut listen = Vec::new();
    for listener in config.client_listeners() {
        let security = match &securities.clients {
            Some(tls) if listener.is_secure => Security::Tls(tls.clone()),
            Some(tls) if unified => Security::Either(tls.clone()),
            None if listener.is_secure => {
                return Err(ServerError::Config(
                    "a secure port without certificates".to_owned(),
                ));
            }
            _ => Security::Plain,
        };
        let settings = ListenSettings {
            address: resolve(&listener.address)?,
            backlog: config.listen_backlog.unwrap_or(BACKLOG),
            per_ip_max: config.connections_per_ip_max as usize,
            total_max: config.connections_max as usize,
            keepalive: config.client_tcp_keepalive,
        };
        listen.push(Listen {
            address: listener.address,
            settings,
            security,
        });
    }
    Ok(listen)
}

/// The wildcard is that of both address families where the machine has both.
fn resolve(address: &ListenAddress) -> Result<SocketAddr, ServerError> {
    let Some(host) = address.host.as_deref().filter(|_| !address.is_wildcard()) else {
        let v6 = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, address.port));
        let v4 = SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, address.port));
        return Ok(if std::path::Path::new("/proc/net/if_inet6").exists() {
            v6
        } else {
            v4
        });
    };
    let unresolved = |why: String| ServerError::Config(format!("cannot resolve {host}: {why}"));
    (host, address.port)
        .to_socket_addrs()
        .map_err(|e| unresolved(e.to_string()))?
        .next()
        .ok_or_else(|| unresolved("it has no address".to_owned()))
}

/// What a snapshot from elsewhere may hold.
fn snapshot_limits(config: &Config) -> Limits {
    Limits {
        field_bytes_max: config.frame_bytes_max as usize * 2,
    }
}

fn status(
    config: &Config,
    pipeline: &Arc<Pipeline>,
    member: Option<Arc<Member>>,
    log: LogHandle,
) -> Status {
    let data_dir =
        std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    let data_log_dir =
        std::path::absolute(&config.data_log_dir).unwrap_or_else(|_| config.data_log_dir.clone());
    let view = ConfigView {
        client_port: config
            .client_address
            .as_ref()
            .map_or(-1, |a| i32::from(a.port)),
        secure_client_port: config
            .secure_client_address
            .as_ref()
            .map_or(-1, |a| i32::from(a.port)),
        // Tools know the directory by the name that upstream gives it.
        data_dir: data_dir.join("version-2").display().to_string(),
        data_log_dir: data_log_dir.join("version-2").display().to_string(),
        tick_time_ms: config.tick_ms as i32,
        client_connections_max: config.connections_per_ip_max as i32,
        session_timeout_ms_min: config.session_timeout_ms_min as i32,
        session_timeout_ms_max: config.session_timeout_ms_max as i32,
        listen_backlog: config.listen_backlog.map_or(-1, |b| b as i32),
        server_id: config.server_id.filter(|_| member.is_some()).unwrap_or(0),
        ensemble: None,
    };
    let words = &config.four_letter_whitelist;
    let allowed = if words.all {
        "*".to_owned()
    } else {
        words.words.join(",")
    };
    Status::new(
        pipeline.clone(),
        view,
        Whitelist::new(Some(&allowed), config.read_only_mode),
        data_dir,
        data_log_dir,
        member,
        Told {
            limits: (
                config.ensemble.init_limit_ticks,
                config.ensemble.sync_limit_ticks,
            ),
            source: config.source.clone(),
            log,
            keeps_metrics: config.metrics.provider == MetricsProvider::Prometheus,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_a_server_alone_name_their_sessions() {
        for (member, byte) in [(None, 1), (Some(1), 1), (Some(2), 2), (Some(0x1fe), 0xfe)] {
            assert_eq!(session_id_byte(member), byte, "{member:?}");
        }
    }
}
