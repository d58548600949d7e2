//! Backtests that run beside a daemon: one at a time, on threads of their own, over the log that
//! it writes. They end when they are dropped.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{Question, Report, Source, Watch, run};
use crate::log::LogReader;

/// Answers that are kept until they are fetched or others take their place.
const KEPT: usize = 8;

/// Backtests, by number.
#[derive(Default)]
pub struct Jobs {
    jobs: Mutex<Numbered>,
}

#[derive(Default)]
struct Numbered {
    jobs: BTreeMap<u64, Job>,
    /// The last number given: none is given twice, for somebody may still hold it.
    last: u64,
}

/// One backtest.
struct Job {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    done: AtomicU64,
    of: AtomicU64,
    stopped: AtomicBool,
    outcome: Mutex<Option<Result<Arc<Report>, String>>>,
}

/// Where a backtest stands.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It runs; so much of the history is folded.
    Running {
        /// So many records.
        done: u64,
        /// Of so many.
        of: u64,
    },
    /// It came to this.
    Done(Arc<Report>),
    /// It failed.
    Failed(String),
}

/// Another backtest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("backtest {0} is running, and one runs at a time: try again when it has ended")]
pub struct Busy(pub u64);

impl Watch for State {
    fn folded(&self, done: u64, of: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.of.store(of, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl State {
    fn outcome(&self) -> MutexGuard<'_, Option<Result<Arc<Report>, String>>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees to it that a backtest comes to an outcome: one that panics has failed.
struct Ends(Arc<State>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.outcome().get_or_insert_with(|| {
            Err("it broke off, which is a fault of Weir: the log of the node says more".to_owned())
        });
    }
}

impl Jobs {
    fn jobs(&self) -> MutexGuard<'_, Numbered> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a backtest over a log; returns its number.
    ///
    /// # Errors
    /// If another one runs.
    pub fn start(&self, reader: LogReader, question: Question) -> Result<u64, Busy> {
        self.begin(move |watch| {
            let outcome = run(&Source::Log(reader), &question, watch);
            outcome.map_err(|error| error.to_string())
        })
    }

    fn begin(
        &self,
        work: impl FnOnce(&State) -> Result<Report, String> + Send + 'static,
    ) -> Result<u64, Busy> {
        let mut numbered = self.jobs();
        let Numbered { jobs, last } = &mut *numbered;
        let running = jobs.iter().find(|(_, job)| job.state.outcome().is_none());
        if let Some((number, _)) = running {
            return Err(Busy(*number));
        }
        while jobs.len() >= KEPT {
            jobs.pop_first();
        }
        *last += 1;
        let number = *last;
        let state = Arc::new(State::default());
        let own = Ends(Arc::clone(&state));
        let work = move || {
            let outcome = work(&own.0).map(Arc::new);
            *own.0.outcome() = Some(outcome);
        };
        let thread = thread::Builder::new().name("backtest".into()).spawn(work);
        let thread = thread
            .inspect_err(|error| *state.outcome() = Some(Err(error.to_string())))
            .ok();
        jobs.insert(number, Job { state, thread });
        Ok(number)
    }

    /// Where a backtest stands; `None` if there is no such one, or not any more.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Standing> {
        let numbered = self.jobs();
        let state = &numbered.jobs.get(&number)?.state;
        let ended = state.outcome().clone();
        Some(match ended {
            Some(Ok(report)) => Standing::Done(report),
            Some(Err(problem)) => Standing::Failed(problem),
            None => Standing::Running {
                done: state.done.load(Ordering::Relaxed),
                of: state.of.load(Ordering::Relaxed),
            },
        })
    }

    /// Ends a backtest and forgets it; false if there is no such one.
    pub fn remove(&self, number: u64) -> bool {
        // Its thread is waited for once others can look at theirs again.
        let job = self.jobs().jobs.remove(&number);
        job.is_some()
    }

    /// Ends all; returns once none runs any more.
    pub fn clear(&self) {
        let all = std::mem::take(&mut self.jobs().jobs);
        drop(all);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of a backtest panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_backtest_that_panics_has_failed_and_another_may_begin() {
        let jobs = Jobs::default();
        let number = jobs.begin(|_| panic!("no such rule")).unwrap();
        let problem = loop {
            match jobs.get(number) {
                Some(Standing::Failed(problem)) => break problem,
                Some(Standing::Running { .. }) => thread::sleep(Duration::from_millis(1)),
                other => panic!("{other:?}"),
            }
        };
        assert!(problem.contains("broke off"), "{problem}");
        assert_eq!(jobs.begin(|_| Err("ended".into())), Ok(number + 1));
    }

    #[test]
    fn a_number_is_not_given_again() {
        let jobs = Jobs::default();
        let first = jobs.begin(|_| Err("ended".into())).unwrap();
        assert!(jobs.remove(first));
        let second = jobs.begin(|_| Err("ended".into())).unwrap();
        assert_ne!(first, second);
        assert!(!jobs.remove(first), "it is of another backtest");
        jobs.clear();
        assert!(jobs.begin(|_| Err("ended".into())).unwrap() > second);
    }
}
