//! Numbered items sorted into numbered groups.

/// Items 0, 1, … by group, each group's items in ascending order.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Where each group begins in `items`, and the end.
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Groups {
    /// Sorts item i into group `group_of[i]`, below `groups`.
    pub fn sort(&mut self, groups: usize, group_of: &[u32]) {
        self.starts.clear();
        self.starts.resize(groups + 2, 0);
        for group in group_of {
            self.starts[*group as usize + 2] += 1;
        }
        for group in 2..self.starts.len() {
            self.starts[group] += self.starts[group - 1];
        }
        // Shifted by one group, each start runs up to the group's end while items are placed, which is the next group's start.
        self.items.clear();
        self.items.resize(group_of.len(), 0);
        for (item, group) in group_of.iter().enumerate() {
            let place = &mut self.starts[*group as usize + 1];
            self.items[*place as usize] = item as u32;
            *place += 1;
        }
    }

    /// The items of one group.
    pub fn of(&self, group: usize) -> &[u32] {
        &self.items[self.starts[group] as usize..self.starts[group + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stand_in_their_groups_in_order_and_groups_may_be_empty() {
        let mut groups = Groups::default();
        groups.sort(4, &[2, 0, 2, 3, 0, 2]);
        let found: Vec<&[u32]> = (0..4).map(|group| groups.of(group)).collect();
        assert_eq!(found, [&[1, 4][..], &[], &[0, 2, 5], &[3]]);
        groups.sort(1, &[]);
        assert!(groups.of(0).is_empty());
    }
}
