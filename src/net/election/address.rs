//! Where servers listen for elections: from a configuration, and as a greeting tells it.

use std::net::SocketAddr;

use crate::ids::ServerId;
use crate::membership::{Membership, PeerAddress};

/// Where this server listens: by the committed configuration, or by a proposed one that it is to join.
pub(super) fn own(
    committed: &Membership,
    last_seen: Option<&Membership>,
    id: ServerId,
) -> Option<Vec<PeerAddress>> {
    std::iter::once(committed)
        .chain(last_seen)
        .find_map(|config| config.servers.get(&id))
        .map(|server| server.addresses.clone())
}

/// Where to dial a server, the best first.
pub(super) fn of(
    committed: &Membership,
    last_seen: Option<&Membership>,
    id: ServerId,
) -> Vec<String> {
    let mut addresses = Vec::new();
    for config in std::iter::once(committed).chain(last_seen) {
        let server = config.servers.get(&id);
        for address in server.iter().flat_map(|server| &server.addresses) {
            let address = address.election();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

/// What a greeting tells: numbers, so that the other side need not know the names of this one.
pub(super) async fn told(own: &[PeerAddress], multiple: bool) -> Vec<String> {
    let count = if multiple { own.len() } else { 1 };
    let mut told = Vec::with_capacity(count);
    for address in own.iter().take(count) {
        let text = address.election();
        let resolved = tokio::net::lookup_host(&text).await;
        let first = resolved.ok().and_then(|mut found| found.next());
        told.push(first.map_or(text, |found| printed(&found)));
    }
    told
}

/// As the original prints it: an IPv6 address with all its groups.
fn printed(address: &SocketAddr) -> String {
    crate::membership::ListenAddress::new(Some(&address.ip().to_string()), address.port())
        .to_string()
}
