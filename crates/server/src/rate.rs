//! How many requests may one client address make?

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::addresses::network;

/// So many addresses are kept before those that owe nothing are forgotten.
const ADDRESSES_KEPT: usize = 1024;

/// A limit on the requests of each client address (for IPv6, each /64 network): a steady rate, and a burst
/// of twice as many at once.
///
/// It is the generic cell rate algorithm of ITU-T I.371: for each address one instant is kept, until which
/// its requests so far would take at the steady rate.
#[derive(Debug)]
pub struct Rate {
    per_request: Duration,
    burst: Duration,
    busy_until: Mutex<HashMap<IpAddr, Instant>>,
}

impl Rate {
    /// So many requests a second.
    #[must_use]
    pub fn per_second(requests: NonZeroU32) -> Self {
        let per_request = Duration::from_secs(1) / requests.get();
        Self { per_request, burst: per_request * requests.get() * 2, busy_until: Mutex::default() }
    }

    /// Counts a request of that address.
    ///
    /// # Errors
    /// Where it comes too soon: how long to wait. It doesn't count then.
    pub fn check(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        if ADDRESSES_KEPT <= busy_until.len() && busy_until.len() == busy_until.capacity() {
            busy_until.retain(|_, until| now < *until);
        }
        let until = busy_until.entry(network(address)).or_insert(now);
        let then = now.max(*until) + self.per_request;
        let allowed = now + self.burst;
        if allowed < then {
            return Err(then - allowed);
        }
        *until = then;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: u32) -> Rate {
        Rate::per_second(requests.try_into().unwrap())
    }

    #[test]
    fn a_burst_of_twice_as_many_is_let_through_and_then_the_steady_rate() {
        let (rate, start) = (rate(50), Instant::now());
        let client = "192.0.2.1".parse().unwrap();
        let let_through = |at: Duration| (0..1000).filter(|_| rate.check(client, start + at).is_ok()).count();
        assert_eq!(let_through(Duration::ZERO), 100);
        assert_eq!(rate.check(client, start), Err(Duration::from_millis(20)));
        assert_eq!(let_through(Duration::from_millis(20)), 1);
        assert_eq!(let_through(Duration::from_millis(1020)), 50);
        assert_eq!(let_through(Duration::from_secs(60)), 100);
        assert!(rate.check("192.0.2.2".parse().unwrap(), start).is_ok(), "another client is another matter");
    }

    #[test]
    fn who_owes_nothing_is_forgotten() {
        let (rate, start) = (rate(1), Instant::now());
        for second in 0..100_000_u32 {
            let address = IpAddr::from(second.to_be_bytes());
            rate.check(address, start + Duration::from_secs(second.into())).unwrap();
        }
        assert!(rate.busy_until.lock().unwrap().len() < 4 * ADDRESSES_KEPT);
    }
}
