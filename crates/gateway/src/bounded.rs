//! A map that holds only so many entries and forgets first what was not asked for lately.

use std::collections::HashMap;
use std::hash::Hash;

/// Two generations: what is used moves to the young one; when that is full it becomes the old one, and the old one
/// is forgotten. Invariant: it never holds more than twice `half` entries.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    /// At most `entries_max` entries, and no less than half as many of the latest.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (entries_max / 2).max(1) }
    }

    /// The entry of this key.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    /// Sets the entry of this key.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_grows_beyond_its_size_and_keeps_what_is_used() {
        let mut map = Bounded::new(10);
        map.insert(0, "used");
        for key in 1..1000 {
            map.insert(key, "once");
            assert_eq!(map.get(&0).copied(), Some("used"), "after {key}");
            assert!(map.len() <= 10, "{}", map.len());
        }
        assert_eq!(map.get(&999).copied(), Some("once"));
        assert_eq!(map.get(&1), None);
    }

    #[test]
    fn a_key_has_one_entry_whichever_generation_it_is_in() {
        let mut map = Bounded::new(4);
        for key in 0..4 {
            map.insert(key, "first");
        }
        map.insert(0, "second");
        assert_eq!(map.get(&0).copied(), Some("second"));
        map.insert(9, "other");
        assert_eq!(map.get(&0).copied(), Some("second"));
    }
}
