//! What a server asks its disk to write: a log without holes in which every transaction is one that was proposed,
//! epochs that only rise, and no committed transaction cut away.

use super::{Verdict, violated};
use crate::ids::Zxid;
use crate::sim::disk::{Stable, Write};
use crate::sim::network::NodeIx;
use crate::sim::truth::Truth;
use crate::zab::Txn;

const NAME: &str = "logs";

/// Before `write` is done. `log_last` and the rest of `stable` are what the earlier writes left.
pub fn about_to_write(truth: &Truth, node: NodeIx, stable: &Stable, write: &Write) -> Verdict {
    match write {
        Write::AcceptedEpoch(epoch) if *epoch < stable.accepted => violated(
            NAME,
            format!(
                "server {node}: accepted epoch {} after {}",
                epoch.0, stable.accepted.0
            ),
        ),
        Write::CurrentEpoch(epoch) if *epoch < stable.current || *epoch > stable.accepted => {
            violated(
                NAME,
                format!(
                    "server {node}: current epoch {} after {}, accepted {}",
                    epoch.0, stable.current.0, stable.accepted.0
                ),
            )
        }
        Write::Append(txns) => continues(truth, node, stable, stable.log.last(), txns),
        Write::Cut(zxid) => keeps_committed(truth, node, stable, *zxid),
        Write::Install(image) => {
            if image.zxid.counter() != 0 && truth.at(image.zxid).is_none() {
                violated(
                    NAME,
                    format!(
                        "server {node}: a snapshot at {}, which nobody committed",
                        image.zxid
                    ),
                )?;
            }
            keeps_committed(truth, node, stable, image.zxid)
        }
        _ => Ok(()),
    }
}

fn continues(
    truth: &Truth,
    node: NodeIx,
    stable: &Stable,
    mut last: Zxid,
    txns: &[Txn],
) -> Verdict {
    for txn in txns {
        let follows = if txn.zxid.epoch() == last.epoch() {
            txn.zxid == last.next()
        } else {
            txn.zxid.epoch() > last.epoch() && txn.zxid.counter() == 1
        };
        if !follows {
            violated(
                NAME,
                format!("server {node}: {} appended after {last}", txn.zxid),
            )?;
        }
        if truth
            .proposed
            .get(&txn.zxid)
            .is_none_or(|p| p.bytes != txn.bytes)
        {
            violated(
                NAME,
                format!("server {node}: {} was never proposed so", txn.zxid),
            )?;
        }
        if txn.zxid.epoch() > stable.accepted {
            violated(
                NAME,
                format!(
                    "server {node}: {} appended with accepted epoch {}",
                    txn.zxid, stable.accepted.0
                ),
            )?;
        }
        last = txn.zxid;
    }
    Ok(())
}

/// Everything above `zxid` goes: none of it may be committed.
fn keeps_committed(truth: &Truth, node: NodeIx, stable: &Stable, zxid: Zxid) -> Verdict {
    for txn in stable.log.txns.iter().skip(stable.log.after(zxid)) {
        if truth.at(txn.zxid).is_some_and(|c| c.bytes == txn.bytes) {
            return violated(
                NAME,
                format!(
                    "server {node}: {} is committed and was cut away, to {zxid}",
                    txn.zxid
                ),
            );
        }
    }
    Ok(())
}
