//! What a ledger does. The cases are written once, over the `Ledger` trait and a way to open one; each database runs
//! all of them, and beside every answer stands that of a plain model in memory. PostgreSQL is tested where `CURVEFLEET_TEST_POSTGRES`
//! is the URL of a server on which databases may be made.
#![allow(clippy::unwrap_used)]

mod backup;
mod bench;
mod cases;
mod cut;
mod database;
mod fleet;
mod migrations;
mod model;
mod opening;
mod opening_postgres;
mod proxy;
mod random;

/// Runs the cases named, one test each, on every database.
macro_rules! conformance {
    ($($module:ident::{$($case:ident),* $(,)?},)*) => {
        mod sqlite {
            $(mod $module {
                $(#[test]
                fn $case() {
                    let database = $crate::database::Sqlite::new();
                    $crate::cases::$module::$case(&mut $crate::bench::Bench::new(Box::new(database)));
                })*
            })*
        }

        mod postgres {
            $(mod $module {
                $(#[test]
                fn $case() {
                    if let Some(database) = $crate::database::Postgres::new(stringify!($case)) {
                        $crate::cases::$module::$case(&mut $crate::bench::Bench::new(Box::new(database)));
                    }
                })*
            })*
        }
    };
}

conformance! {
    studies::{
        a_submitted_study_is_planned_into_shards_and_runs,
        a_large_study_is_entered_some_shards_at_a_time_and_leased_meanwhile,
        the_same_study_twice_is_the_same_study,
        another_study_of_the_same_name_is_refused,
        a_study_that_is_not_there_is_refused_by_name,
        cancelling_keeps_what_is_done_and_revokes_leases,
        retrying_requeues_what_failed_or_was_cancelled,
        a_cancelled_study_retried_adopts_what_was_done_elsewhere_meanwhile,
    },
    leases::{
        leases_follow_submission_and_plan,
        only_registered_workers_are_given_work,
        a_held_shard_is_not_given_twice,
        heartbeats_keep_a_lease_beyond_its_first_deadline,
        leases_that_a_heartbeat_does_not_name_expire,
        an_expired_shard_is_given_on_with_a_higher_fence,
        released_shards_are_given_at_once,
        all_leases_can_be_ended_at_start,
        listing_workers_says_who_is_alive_and_holds_what,
    },
    commits::{
        committed_runs_are_done_and_the_last_one_ends_the_study,
        a_stale_fence_changes_nothing,
        a_commit_repeated_is_the_same_commit,
        a_part_is_never_committed_with_other_bytes_and_never_makes_more_runs_done,
        a_commit_repeated_is_the_same_where_a_run_of_it_was_taken_back,
        runs_and_parts_of_others_are_refused,
        what_is_done_of_a_shard_stays_done_when_it_goes_to_someone_else,
        a_late_worker_that_was_not_replaced_may_commit,
        a_run_done_in_one_study_is_done_in_all,
        a_run_of_a_leased_shard_done_elsewhere_is_done_once,
        a_new_study_reuses_what_is_done,
    },
    failures::{
        a_failing_run_is_retried_after_the_others_and_set_aside_at_the_last_attempt,
        a_failure_told_twice_counts_once,
        an_infrastructure_failure_is_not_held_against_the_run,
        a_study_failure_stops_the_study,
        attempts_are_kept_for_a_person_to_read,
        workers_lost_in_a_runs_first_epoch_are_held_against_it_from_the_fifth_in_a_row_on,
        a_worker_that_is_started_anew_was_lost_too,
        the_runs_of_a_pack_are_held_to_account_together,
        a_run_that_has_finished_an_epoch_is_suspected_no_more,
    },
    tokens::{
        tokens_are_kept_with_their_expiry_the_newest_first,
        a_holder_has_one_role_at_a_time,
        revoking_is_for_good_and_audited,
    },
    control::{
        a_paused_study_rests_and_its_leases_are_handed_back,
        studies_of_higher_priority_go_first,
        a_drained_worker_is_given_nothing_until_it_is_undrained,
        what_people_do_is_audited_once,
        a_worker_on_which_many_different_runs_fail_is_drained,
        a_study_that_fails_everywhere_drains_no_one,
        a_run_that_failed_is_tried_on_another_worker,
        leases_that_the_worker_never_heard_of_are_given_again_at_once,
        a_request_for_work_that_a_later_one_has_overtaken_does_nothing,
        a_new_process_takes_the_name_and_the_old_one_is_told_so,
        a_worker_that_leaves_holds_nothing,
    },
    queue::{
        studies_of_one_priority_share_by_the_work_that_is_leased,
        workers_that_lack_what_is_needed_are_not_given_it,
        what_no_worker_has_is_told,
        work_ahead_is_no_more_than_half_a_share_of_what_is_left,
        runs_that_have_not_begun_go_to_a_worker_that_has_nothing_to_do,
        a_shard_that_has_no_run_to_spare_is_not_asked_for_again,
    },
    compactions::{
        the_parts_of_a_finished_study_become_one_and_its_runs_stay_as_they_are,
        few_parts_and_studies_that_go_on_are_left_alone,
        a_study_that_goes_on_is_compacted_when_a_large_part_is_full,
        one_coordinator_at_a_time_compacts_a_study_and_a_late_one_moves_nothing,
        a_part_that_was_lost_between_plan_and_end_does_not_move,
        damaged_parts_stay_and_the_others_move,
        reused_runs_move_and_are_lost_with_their_part,
        a_commit_repeated_after_its_part_has_moved_is_the_same_commit,
        moved_parts_are_listed_by_the_time_and_page_by_page,
    },
    losses::{
        the_runs_of_a_lost_part_are_trained_again_and_no_others,
        a_part_lost_twice_is_lost_once,
        a_lost_part_is_lost_in_every_study_that_reuses_it,
        a_lost_run_of_a_cancelled_study_is_given_up_like_the_others,
        a_run_lost_while_its_shard_is_leased_is_trained_after_the_lease,
        a_late_repeat_of_a_lost_commit_changes_nothing,
    },
    durability::{
        a_restart_keeps_everything,
        a_refused_request_leaves_its_neighbours_alone,
        the_manifest_is_stale_until_it_is_written,
        the_manifest_says_how_each_run_was_trained,
        a_manifest_has_one_writer_at_a_time_and_one_that_was_late_makes_it_stale,
        pages_list_every_run_once,
        texts_of_workers_are_kept_whatever_is_in_them,
    },
}
