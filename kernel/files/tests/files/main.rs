//! All file systems, as a Linux process. What a file system stands on is played here: a disk in
//! memory, a server that lies.

mod disks;
mod servers;
#[path = "../../../hosted/tests/suite/mod.rs"]
mod suite;
mod trees;

/// Numbers that repeat.
pub struct Random(pub u64);

impl Random {
    /// Less than `n`. (Knuth's generator, of which the upper bits are good.)
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }
}

fn main() {
    hosted::run_with(4, || {
        suite::run(&[
            ("an archive is a tree", trees::an_archive_is_a_tree),
            ("an archive may be damaged", trees::an_archive_may_be_damaged),
            ("what goes wrong is told with its path", trees::what_goes_wrong_is_told),
            ("each goroutine gets its own answer", servers::each_goroutine_gets_its_own_answer),
            ("a server may say anything", servers::a_server_may_say_anything),
            ("a server that is lost is given up", servers::a_lost_server_is_given_up),
            ("what was written is on the disk", disks::what_was_written_is_on_the_disk),
            ("what others wrote is read", disks::what_others_wrote_is_read),
            ("a full disk is told and stays whole", disks::a_full_disk_stays_whole),
            ("what is removed makes room", disks::what_is_removed_makes_room),
            ("open files are shared", disks::open_files_are_shared),
            ("a disk may be damaged", disks::a_disk_may_be_damaged),
        ]);
    })
}
