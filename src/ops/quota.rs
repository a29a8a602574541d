//! Upkeep and enforcement of quotas. The limits and the usage are znodes that clients read and write; the
//! server edits the usage in place, on every server alike, without a transaction.

use super::write::WriteContext;
use crate::proto::ErrorCode;
use crate::tree::quota::{
    QuotaLimits, QuotaUsage, exceeds, limited_path, limits_path, stats_path, tracked_path,
};
use crate::tree::{NodeId, Tree};

pub(super) fn check_create(
    ctx: &WriteContext<'_>,
    path: &str,
    data_len: usize,
) -> Result<(), ErrorCode> {
    check(ctx, path, 1, data_len as i64)
}

pub(super) fn check_set(
    ctx: &WriteContext<'_>,
    path: &str,
    old_len: usize,
    new_len: usize,
) -> Result<(), ErrorCode> {
    check(ctx, path, 0, new_len as i64 - old_len as i64)
}

/// Looks at the usage as it is committed: requests under way may overshoot, as upstream's do.
fn check(ctx: &WriteContext<'_>, path: &str, count: i64, bytes: i64) -> Result<(), ErrorCode> {
    if !ctx.rules.enforce_quota {
        return Ok(());
    }
    let Some(limited) = ctx.tree.quotas.deepest(path) else {
        return Ok(());
    };
    let (Some(limits), Some(stats)) = (
        ctx.tree.get(&limits_path(limited)),
        ctx.tree.get(&stats_path(limited)),
    ) else {
        return Ok(());
    };
    let limits = QuotaLimits::parse(limits.data());
    let usage = QuotaUsage::parse(stats.data());
    for exceeded in exceeds(usage, limits, count, bytes) {
        if exceeded.hard {
            return Err(ErrorCode::QUOTA_EXCEEDED);
        }
        ctx.rules.soft_quota_exceeded(limited, &exceeded);
    }
    Ok(())
}

pub(super) fn created(tree: &mut Tree, path: &str, data: Option<&[u8]>) {
    if let Some(limited) = limited_path(path) {
        tree.quotas.mark(limited);
    } else if let Some(tracked) = tracked_path(path) {
        recount(tree, tracked);
    }
    if !tree.quotas.is_empty() {
        charge(tree, path, 1, data.map_or(0, |d| d.len() as i64));
    }
}

pub(super) fn deleted(tree: &mut Tree, path: &str, data_len: usize) {
    if tree.quotas.is_empty() {
        return;
    }
    if let Some(limited) = limited_path(path) {
        tree.quotas.unmark(limited);
    }
    charge(tree, path, -1, -(data_len as i64));
}

pub(super) fn changed(tree: &mut Tree, path: &str, old_len: usize, new_len: usize) {
    if !tree.quotas.is_empty() {
        charge(tree, path, 0, new_len as i64 - old_len as i64);
    }
}

fn charge(tree: &mut Tree, path: &str, count: i64, bytes: i64) {
    let Some(limited) = tree.quotas.deepest(path) else {
        return;
    };
    if let Some(id) = tree.find(&stats_path(limited)) {
        let text = QuotaUsage::charge(tree.node(id).data(), count, bytes);
        tree.replace_data(id, Some(&text));
    }
}

/// A usage node that appears starts with the truth, whatever its creator wrote.
fn recount(tree: &mut Tree, tracked: &str) {
    let Some(id) = tree.find(&stats_path(tracked)) else {
        return;
    };
    let (mut count, mut bytes) = (0, 0);
    if let Some(top) = tree.find(tracked) {
        tree.walk(top, &mut |_, node| {
            count += 1;
            bytes += node.data_len() as i64;
        });
    }
    let text = QuotaUsage::charge(None, count, bytes);
    tree.replace_data(id, Some(&text));
}

pub(super) fn recount_all(tree: &mut Tree) {
    let tracked: Vec<String> = tree.quotas.iter().map(str::to_owned).collect();
    for path in tracked {
        recount(tree, &path);
    }
}

pub(super) fn restore_marks(tree: &mut Tree) {
    let Some(root) = tree.find(crate::tree::quota::QUOTA_ROOT) else {
        return;
    };
    let mut marks: Vec<NodeId> = Vec::new();
    tree.walk(root, &mut |id, node| {
        if node.name() == crate::tree::quota::LIMITS_NODE {
            marks.push(id);
        }
    });
    for id in marks {
        let path = tree.path_of(id);
        if let Some(limited) = limited_path(&path) {
            tree.quotas.mark(limited);
        }
    }
}
