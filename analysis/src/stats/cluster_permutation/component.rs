//! Neighbouring cells beyond the threshold, by flood fill. Cells are neighbours if they share a side, and if t has the same sign.

/// A search through maps of one size, with the memory that it needs.
#[derive(Debug, Clone)]
pub struct Search {
    steps: usize,
    threshold: f64,
    seen: Vec<bool>,
    found: Vec<usize>,
}

impl Search {
    /// A search through maps of `cells` cells, `steps` for each epoch.
    pub fn new(cells: usize, steps: usize, threshold: f64) -> Search {
        Search { steps, threshold, seen: vec![false; cells], found: Vec::new() }
    }

    /// Calls `each` with the cells and the mass of every cluster, in the order of their first cells.
    pub fn clusters(&mut self, t: &[f64], mut each: impl FnMut(&[usize], f64)) {
        self.seen.fill(false);
        for start in 0..t.len() {
            if !self.seen[start] && t[start].abs() > self.threshold {
                self.fill(t, start);
                each(&self.found, self.found.iter().map(|cell| t[*cell]).sum());
            }
        }
    }

    fn fill(&mut self, t: &[f64], start: usize) {
        self.found.clear();
        self.found.push(start);
        self.seen[start] = true;
        let mut next = 0;
        while let Some(&cell) = self.found.get(next) {
            next += 1;
            let step = cell % self.steps;
            let neighbours = [
                (step > 0).then(|| cell - 1),
                (step + 1 < self.steps).then(|| cell + 1),
                cell.checked_sub(self.steps),
                (cell + self.steps < t.len()).then(|| cell + self.steps),
            ];
            for neighbour in neighbours.into_iter().flatten() {
                let alike = t[neighbour] * t[start].signum() > self.threshold;
                if alike && !self.seen[neighbour] {
                    self.seen[neighbour] = true;
                    self.found.push(neighbour);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_signs_and_line_ends_part_clusters() {
        #[rustfmt::skip]
        let t = [
            3.0, 0.0, 4.0,
            0.0, 3.0, 3.0,
            3.0, 3.0, -5.0,
        ];
        let mut found = Vec::new();
        Search::new(9, 3, 2.0).clusters(&t, |cells, mass| found.push((cells.to_vec(), mass)));
        found.iter_mut().for_each(|(cells, _)| cells.sort_unstable());
        assert_eq!(found, [(vec![0], 3.0), (vec![2, 4, 5, 6, 7], 16.0), (vec![8], -5.0)]);
    }
}
