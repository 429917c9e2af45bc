//! Shards on disk.

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use orfeas_shapes::sample::{Sample, SampleOptions};
use orfeas_shapes::{Family, HELD_OUT_SEEDS, ShapeError, shard};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// What is to be written.
pub struct Plan {
    /// Of these families in turn; one that is here several times comes as often, each time with its next seed.
    pub families: Vec<&'static Family>,
    /// Samples in all.
    pub count: u64,
    /// Pictures of each object.
    pub views: u64,
    /// First seed of each family.
    pub seed: u64,
    /// Samples in a file.
    pub per_shard: u64,
    /// Whether held-out families and seeds are allowed.
    pub held_out: bool,
}

impl Plan {
    /// What the n-th sample is of.
    fn object(&self, n: u64) -> (&'static Family, u64, u32) {
        let (object, view) = (n / self.views, (n % self.views) as u32);
        let families = self.families.len() as u64;
        let (place, round) = ((object % families) as usize, object / families);
        let family = self.families[place];
        let among = |families: &[&Family]| families.iter().filter(|other| other.name == family.name).count() as u64;
        let seed = self.seed + round * among(&self.families) + among(&self.families[..place]);
        (family, seed, view)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.count == 0 || self.views == 0 || self.per_shard == 0 || self.families.is_empty() {
            bail!("there is nothing to write: count, views, samples in a file and families must all be at least 1");
        }
        if self.held_out {
            return Ok(());
        }
        if let Some(family) = self.families.iter().find(|family| family.held_out) {
            bail!("family {} is held out: a model is judged by it; --held-out allows it", family.name);
        }
        // The greatest seeds are in the last round.
        let first = self.count.saturating_sub(self.views * self.families.len() as u64);
        let last = (first..self.count).step_by(self.views as usize).chain([self.count - 1]);
        let last = last.map(|n| self.object(n).1).max().unwrap_or_default();
        if last >= HELD_OUT_SEEDS {
            bail!("seed {last} is held out (from {HELD_OUT_SEEDS} on): a model is judged by it; --held-out allows it");
        }
        Ok(())
    }
}

/// Writes `shard-00000.bin` and so on. A file that is there is kept: what was interrupted goes on.
///
/// # Errors
/// Held-out families or seeds in a plan that does not allow them; what the disk says.
pub fn write(plan: &Plan, out: &Path) -> anyhow::Result<()> {
    write_shards(plan, 0..plan.count.div_ceil(plan.per_shard), out)
}

/// A shard's file in its folder.
#[must_use]
pub fn shard_path(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("shard-{index:05}.bin"))
}

/// Writes some of a plan's shards, or keeps those that are there. They are finished about in their order: whoever learns from
/// them meanwhile waits for the next one, not for any.
///
/// # Errors
/// As [`write`].
pub fn write_shards(plan: &Plan, shards: Range<u64>, out: &Path) -> anyhow::Result<()> {
    plan.check()?;
    std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let missing = shards.filter(|index| !shard_path(out, *index).exists());
    let objects = Mutex::new(missing.flat_map(|index| Open::begin(plan, index, out)));
    let failed = Mutex::new(None);
    let next = || if lock(&failed).is_some() { None } else { lock(&objects).next() };
    let work = || {
        while let Some(object) = next() {
            if let Err(error) = object.finish() {
                lock(&failed).get_or_insert(error);
            }
        }
    };
    // Each worker is alone in its pool. In a common one a worker that waits for another takes on a further object meanwhile, and so
    // on: what it had begun first then lies under that, for minutes.
    let alone = (0..rayon::current_num_threads()).map(|_| ThreadPoolBuilder::new().num_threads(1).build());
    let alone: Vec<ThreadPool> = alone.collect::<Result<_, _>>()?;
    std::thread::scope(|scope| alone.iter().for_each(|pool| _ = scope.spawn(|| pool.install(work))));
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// A worker that panicked is heard of where its thread is joined.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A shard that is being made.
struct Open {
    path: PathBuf,
    /// The samples of each object, once they are made.
    objects: Mutex<Vec<Option<Vec<Sample>>>>,
}

/// One of its objects, and the views of it.
struct Object {
    shard: Arc<Open>,
    place: usize,
    views: Vec<(&'static Family, u64, u32)>,
}

impl Open {
    /// What is to be done for a shard.
    fn begin(plan: &Plan, index: u64, out: &Path) -> Vec<Object> {
        let first = index * plan.per_shard;
        let wanted: Vec<_> = (first..plan.count.min(first + plan.per_shard)).map(|n| plan.object(n)).collect();
        let objects: Vec<_> = wanted.chunk_by(|a, b| (a.0.name, a.1) == (b.0.name, b.1)).collect();
        let shard = Arc::new(Self { path: shard_path(out, index), objects: Mutex::new(vec![None; objects.len()]) });
        let object = |(place, views): (usize, &&[_])| Object { shard: shard.clone(), place, views: views.to_vec() };
        objects.iter().enumerate().map(object).collect()
    }
}

impl Object {
    /// Makes the samples of an object; those of a shard's last one are written with all the others.
    fn finish(self) -> anyhow::Result<()> {
        let (family, seed, _) = self.views[0];
        let solid = family.solid(seed);
        let options = SampleOptions::default();
        let samples = self.views.iter().map(|(_, _, view)| Sample::of(&solid, family, seed, *view, &options));
        let samples = samples.collect::<Result<Vec<_>, ShapeError>>()?;
        let mut objects = lock(&self.shard.objects);
        objects[self.place] = Some(samples);
        if objects.iter().any(Option::is_none) {
            return Ok(());
        }
        let samples: Vec<_> = std::mem::take(&mut *objects).into_iter().flatten().flatten().collect();
        drop(objects);
        put_whole(&self.shard.path, &shard::encode(&samples)?)
    }
}

/// Writes a file under a name of its own first: a file of this name is whole, also where another run, or what a run that has ended
/// left behind, makes the same one.
fn put_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        // Whoever may read the folder may read its shards, as with any file that is written plainly.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut part = builder.prefix("shard-").suffix(".tmp").tempfile_in(folder)?;
        part.write_all(bytes)?;
        part.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(names: &[&str], seed: u64, held_out: bool) -> Plan {
        let families = names.iter().map(|name| Family::named(name).unwrap()).collect();
        Plan { families, count: 3, views: 1, seed, per_shard: 2, held_out }
    }

    #[test]
    fn what_is_held_out_is_refused_unless_allowed() {
        assert!(plan(&["star"], 0, false).check().unwrap_err().to_string().contains("star is held out"));
        assert!(plan(&["mug"], HELD_OUT_SEEDS - 1, false).check().is_err());
        assert!(plan(&["mug"], 0, false).check().is_ok());
        assert!(plan(&["star"], HELD_OUT_SEEDS, true).check().is_ok());
    }

    #[test]
    fn a_family_that_is_there_several_times_goes_through_its_seeds_without_gaps() {
        let plan = plan(&["mug", "dice", "mug", "mug"], 5, false);
        let objects: Vec<_> = (0..8).map(|n| plan.object(n)).map(|(family, seed, _)| (family.name, seed)).collect();
        let mugs: Vec<_> = objects.iter().filter(|object| object.0 == "mug").map(|object| object.1).collect();
        assert_eq!(mugs, [5, 6, 7, 8, 9, 10]);
        assert_eq!(objects[1], ("dice", 5));
        assert_eq!(objects[5], ("dice", 6));
    }

    #[test]
    fn no_held_out_seed_hides_before_the_last_sample() {
        // The last sample is of the family with the smaller seeds.
        let mut plan = plan(&["mug", "mug", "mug", "dice"], HELD_OUT_SEEDS - 2, false);
        plan.count = 4;
        assert!(plan.check().is_err());
        plan.seed -= 1;
        assert!(plan.check().is_ok());
    }

    #[test]
    fn shards_are_written_whole_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        write(&plan(&["mug", "dice"], 0, false), folder.path()).unwrap();
        let read =
            |index: usize| shard::decode(&std::fs::read(folder.path().join(format!("shard-{index:05}.bin"))).unwrap());
        assert_eq!((read(0).unwrap().len(), read(1).unwrap().len()), (2, 1));
        std::fs::write(folder.path().join("shard-00000.bin"), b"kept").unwrap();
        write(&plan(&["mug", "dice"], 0, false), folder.path()).unwrap();
        assert!(read(0).is_err());
    }

    /// A run that has ended may have left a thread behind that makes what the next run makes too.
    #[test]
    fn writers_of_one_shard_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = shard_path(folder.path(), 0);
        let shard = |seed: u8| vec![seed; 1 << 20];
        std::thread::scope(|scope| {
            let writer = |seed: u8| {
                let (path, shard) = (&path, shard(seed));
                move || (0..50).for_each(|_| put_whole(path, &shard).unwrap())
            };
            for seed in 0..4 {
                scope.spawn(writer(seed));
            }
        });
        let kept = std::fs::read(&path).unwrap();
        assert!((0..4).any(|seed| kept == shard(seed)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
