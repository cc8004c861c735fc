//! Which port of a proxy stands for a port of a Gateway.
//!
//! A proxy runs without the right to open the ports below 1024, so its Service maps them to others. The mapping is the
//! same for every Gateway and for ever: the compiler opens these ports, and whoever makes the Service maps to them.

/// The last port that a Gateway can have: those above stand for ports below 1024. They are outside of the range from
/// which Linux takes ports for connections of its own.
pub const LAST: u16 = 64_511;

/// The proxies' own port for probes and metrics, which no Gateway's port is mapped to.
pub const ADMIN: u16 = 64_512;

const FIRST_UNPRIVILEGED: u16 = 1024;

/// The port that the proxy opens for a port of a Gateway; `None` for one that cannot be had. Different ports have
/// different ones.
#[must_use]
pub fn container_port(port: u16) -> Option<u16> {
    match port {
        0 => None,
        1..FIRST_UNPRIVILEGED => Some(ADMIN + port),
        FIRST_UNPRIVILEGED..=LAST => Some(port),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_port_has_one_of_its_own_above_the_privileged_ones() {
        let mapped: Vec<u16> = (0..=u16::MAX).filter_map(container_port).collect();
        let distinct: BTreeSet<u16> = mapped.iter().copied().collect();
        assert_eq!(mapped.len(), usize::from(LAST));
        assert_eq!(distinct.len(), mapped.len());
        assert!(distinct.iter().all(|it| *it >= FIRST_UNPRIVILEGED && *it != ADMIN));
        assert_eq!((container_port(80), container_port(8080)), (Some(64_592), Some(8080)));
    }
}
