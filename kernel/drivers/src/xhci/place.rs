//! Where a device is plugged in: a port of the controller, or of a hub, which is plugged in itself.
//! Pure: nothing here touches a device.

use core::fmt;

/// A port, by the ports on the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    root: u8,
    /// The hubs' ports, four bits each, the first hub's lowest: xHCI's route string (8.9).
    route: u32,
    hubs: u8,
}

/// Hubs between the controller and a device, at the most (USB 2.0, 4.1.1).
const MOST_HUBS: u8 = 5;
/// A route has room for no more. No hub has as many ports.
pub const MOST_PORTS: u8 = 15;

impl Place {
    /// A port of the controller's.
    pub fn at(root: u8) -> Place {
        Place { root, route: 0, hubs: 0 }
    }

    /// A port of the hub that is plugged in here, counted from 1. `None`: no hub may be here.
    pub fn below(self, port: u8) -> Option<Place> {
        let allowed = self.hubs < MOST_HUBS && (1..=MOST_PORTS).contains(&port);
        let route = self.route | u32::from(port) << (4 * self.hubs);
        allowed.then_some(Place { route, hubs: self.hubs + 1, ..self })
    }

    /// Where the hub is plugged in whose port this is; `None`: it is the controller's own.
    pub fn hub(self) -> Option<Place> {
        let hubs = self.hubs.checked_sub(1)?;
        Some(Place { route: self.route & !(0xf << (4 * hubs)), hubs, ..self })
    }

    /// The port's number at its hub, or at the controller.
    pub fn port(self) -> u8 {
        match self.hubs {
            0 => self.root,
            hubs => (self.route >> (4 * (hubs - 1)) & 0xf) as u8,
        }
    }

    /// The controller's port on the way.
    pub fn root(self) -> u8 {
        self.root
    }

    pub fn route(self) -> u32 {
        self.route
    }

    /// Whether the way to this port leads through that one, or is that.
    pub fn is_behind(self, other: Place) -> bool {
        self == other || self.hub().is_some_and(|hub| hub.is_behind(other))
    }
}

/// `2.1.4`: port 4 of a hub at port 1 of a hub at port 2.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        (0..self.hubs).try_for_each(|n| write!(f, ".{}", self.route >> (4 * n) & 0xf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_leads_through_hubs() {
        let way = [3, 15, 1, 2, 9].into_iter().try_fold(Place::at(200), |at, port| at.below(port));
        let way = way.expect("five hubs are allowed");
        assert_eq!(way.to_string(), "200.3.15.1.2.9");
        assert_eq!((way.root(), way.route(), way.port()), (200, 0x921f3, 9));
        assert_eq!(way.below(1), None, "a sixth hub");
        assert_eq!((Place::at(1).below(0), Place::at(1).below(16)), (None, None));
        let mut above = way;
        while let Some(hub) = above.hub() {
            assert!(way.is_behind(hub) && above.is_behind(hub) && !hub.is_behind(above));
            assert_eq!(hub.below(above.port()), Some(above));
            above = hub;
        }
        assert_eq!(above, Place::at(200));
        assert!(way.is_behind(way) && !way.is_behind(Place::at(3)));
        assert!(!way.is_behind(Place::at(200).below(4).expect("a port")));
    }
}
