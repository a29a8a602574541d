//! Whole ensembles of peers, and single peers with the test in the place of everybody else.

#![allow(clippy::unwrap_used)]

mod chaos;
mod cluster;
mod ensembles;
mod leading;
mod learning;
mod limits;
mod observers;
mod script;

use bytes::Bytes;

use super::*;

pub(super) fn z(epoch: i64, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

pub(super) fn txn(zxid: Zxid) -> Txn {
    Txn {
        zxid,
        bytes: Bytes::from(format!("{zxid}")),
    }
}

/// Servers 1 to `voters`, then observers.
pub(super) fn members(voters: i64, observers: i64) -> Membership {
    let line = |id: i64| {
        let role = if id <= voters {
            "participant"
        } else {
            "observer"
        };
        format!("server.{id}=h{id}:1:2:{role}\n")
    };
    let text: String = (1..=voters + observers).map(line).collect();
    text.parse().unwrap()
}

pub(super) fn config(id: i64, committed: Membership) -> PeerConfig {
    PeerConfig {
        id: ServerId(id),
        tick_ms: 1000,
        init_limit: 10,
        sync_limit: 5,
        connect_limit: 0,
        min_notification_ms: 200,
        max_notification_ms: 60_000,
        finalize_wait_ms: 200,
        observer_election_delay_ms: 100,
        observer_dial_delay_ms_max: 0,
        counter_end: u32::MAX,
        reconfig_enabled: true,
        serves_observers: false,
        committed,
        last_seen: None,
        history_sent_max: 1000,
        always_snapshot: false,
        snapshot_syncs_max: 10,
        diff_syncs_max: 100,
        epoch_wait_ms_max: None,
        bytes_in_flight_max: 1 << 20,
    }
}

/// The transaction that carries a configuration, as the wire has it.
pub(super) fn reconfig_txn(zxid: Zxid, config: &Membership) -> Txn {
    use crate::proto::txn::{SetDataTxn, TxnHeader};
    let header = TxnHeader {
        client_id: 1,
        cxid: 2,
        zxid: zxid.0,
        time: 3,
        op: crate::proto::OpCode::RECONFIG,
    };
    let text = config.to_string();
    let record = SetDataTxn {
        path: "/zookeeper/config".into(),
        data: text.as_bytes().into(),
        version: -1,
    };
    let mut bytes = jute::to_vec(&header).unwrap();
    bytes.extend(jute::to_vec(&record).unwrap());
    Txn {
        zxid,
        bytes: bytes.into(),
    }
}
