//! Who gives way to whom.

use super::*;

fn is_gone(arrival: &mut Arrival) -> bool {
    arrival.gives_way().now_or_never().is_some()
}

fn gone(arrivals: &mut [Arrival]) -> Vec<bool> {
    arrivals.iter_mut().map(is_gone).collect()
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn share(most: usize) -> Arrivals {
    Strangers::default().door(most)
}

fn takes(arrival: &Arrival, bytes: usize) -> bool {
    arrival.purse().charge(bytes).now_or_never().is_some()
}

#[test]
fn the_oldest_gives_way_and_who_left_needs_no_place() {
    let share = share(3);
    let mut all: Vec<Arrival> = (0..3).map(|_| share.admit(address(1))).collect();
    assert_eq!(gone(&mut all), [false, false, false]);
    all.push(share.admit(address(1)));
    assert_eq!(gone(&mut all), [true, false, false, false]);
    // Who must go holds no place, and takes none with it when it goes.
    all.remove(0);
    all.remove(0);
    all.push(share.admit(address(1)));
    assert_eq!(gone(&mut all), [false, false, false]);
    all.push(share.admit(address(1)));
    assert_eq!(gone(&mut all), [true, false, false, false]);
    assert!(is_gone(&mut all[0]), "asked again");
    drop(all);
    assert!(share.among.lock().is_empty());
}

#[test]
fn who_has_the_most_loses_first() {
    let share = share(4);
    let mut quiet = share.admit(address(1));
    let mut flood: Vec<Arrival> = (0..100).map(|_| share.admit(address(2))).collect();
    assert!(!is_gone(&mut quiet));
    assert_eq!(gone(&mut flood[..97]), [true; 97]);
    assert_eq!(gone(&mut flood[97..]), [false; 3]);
    let mut late = share.admit(address(3));
    assert!(!is_gone(&mut late) && !is_gone(&mut quiet) && is_gone(&mut flood[97]));
}

#[test]
fn addresses_of_one_network_are_one() {
    let share = share(2);
    let network = |last: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, last]);
    let mut other = share.admit(IpAddr::from([0x2001, 0xdb8, 1, 3, 0, 0, 0, 1]));
    let mut all: Vec<Arrival> = (0..3).map(|last| share.admit(network(last))).collect();
    assert_eq!((is_gone(&mut other), gone(&mut all)), (false, vec![true, true, false]));
    let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
    assert_eq!(Network::of(mapped), Network::of(address(1)));
}

#[test]
fn the_largest_gives_way_to_who_needs_room_at_whichever_door() {
    let strangers = Strangers::new(1_000);
    let (one, other) = (strangers.door(10), strangers.door(10));
    let (mut small, mut large) = (one.admit(address(1)), one.admit(address(2)));
    assert!(takes(&small, 300) && takes(&large, 700));
    let mut late = other.admit(address(3));
    // There is no room before the large one has gone.
    assert!(!takes(&late, 400));
    assert!(is_gone(&mut large) && !is_gone(&mut small) && !is_gone(&mut late));
    assert!(!takes(&large, 1), "who must go is given nothing more");
    assert_eq!(strangers.bytes(), 1_000);
    drop(large);
    assert!(takes(&late, 400));
    assert_eq!(strangers.bytes(), 700);
    // Who asks for more than there is goes itself, at the latest.
    assert!(!takes(&late, 2_000) && is_gone(&mut late));
    drop((small, late));
    assert!(strangers.lock().is_empty());
}

#[test]
fn who_waits_for_room_is_woken_one_after_the_other() {
    let strangers = Strangers::new(100);
    let door = strangers.door(10);
    let large = door.admit(address(1));
    assert!(takes(&large, 100));
    let all: Vec<Arrival> = (0..3).map(|_| door.admit(address(2))).collect();
    let woken: Vec<_> = all.iter().map(|_| Arc::new(Woken::default())).collect();
    let purses: Vec<Purse> = all.iter().map(Arrival::purse).collect();
    let ask = |at: usize| {
        let waker = Waker::from(Arc::clone(&woken[at]));
        purses[at].poll_charge(&mut Context::from_waker(&waker), 30).is_ready()
    };
    assert!((0..3).all(|at| !ask(at)));
    drop(large);
    for (at, woken) in woken.iter().enumerate() {
        assert!(woken.0.swap(false, std::sync::atomic::Ordering::Relaxed), "{at}");
        assert!(ask(at), "{at}");
    }
    purses[0].give_back(1_000);
    assert_eq!(strangers.bytes(), 60);
    let purse = all[1].purse();
    drop(all);
    assert_eq!(strangers.bytes(), 0);
    // A user's connection is charged to the user.
    assert!(purse.charge(1 << 40).now_or_never().is_some());
    assert!(strangers.lock().is_empty());
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
