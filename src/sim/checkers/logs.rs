//! What a server asks its disk to write: a log without holes in which every transaction is one that was proposed, and
//! epochs that only rise. A committed transaction may be cut away only where a quorum has it still.

use super::{Verdict, violated};
use crate::ids::Zxid;
use crate::sim::disk::{Stable, Write};
use crate::sim::network::NodeIx;
use crate::sim::truth::Truth;
use crate::zab::Txn;

const NAME: &str = "logs";

/// Before `write` is done. `log_last` and the rest of `stable` are what the earlier writes left.
/// Committed transactions that it takes away go to `lost`.
pub fn about_to_write(
    truth: &Truth,
    node: NodeIx,
    stable: &Stable,
    write: &Write,
    lost: &mut Vec<Zxid>,
) -> Verdict {
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
        Write::Cut(zxid) => {
            committed_above(truth, stable, *zxid, lost);
            Ok(())
        }
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
            committed_above(truth, stable, image.zxid, lost);
            Ok(())
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

fn committed_above(truth: &Truth, stable: &Stable, zxid: Zxid, lost: &mut Vec<Zxid>) {
    for txn in stable.log.txns.iter().skip(stable.log.after(zxid)) {
        if truth.at(txn.zxid).is_some_and(|c| c.bytes == txn.bytes) {
            lost.push(txn.zxid);
        }
    }
}
