//! Families of objects: what people photograph, each with wide ranges of everything.

mod buildings;
mod composed;
mod creatures;
mod figures;
mod furniture;
mod glyphs;
mod nature;
mod tools;
mod toys;
mod vehicles;
mod vessels;
mod wear;

use crate::ShapeError;
use crate::random::Rng;
use crate::sdf::{Shape, Solid};

/// A family: a name, and how one of it is made.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name that commands and reports use.
    pub name: &'static str,
    make: fn(&mut Rng) -> Shape,
    /// Whether training never sees it.
    pub held_out: bool,
    /// How often it comes in a round of training; 1 for what has a name among things.
    pub weight: u32,
}

/// Seeds that training never uses: this one and all above. A model is judged on objects of these seeds.
pub const HELD_OUT_SEEDS: u64 = 1 << 32;

macro_rules! families {
    ($($name:literal $make:path $(, $held:ident)? $(=> $weight:literal)?;)*) => {
        &[$(Family {
            name: $name,
            make: $make,
            held_out: families!(@held $($held)?),
            weight: families!(@weight $($weight)?),
        }),*]
    };
    (@held held_out) => { true };
    (@held) => { false };
    (@weight $weight:literal) => { $weight };
    (@weight) => { 1 };
}

/// All families: things with a name, then random compositions, which have weights.
pub const FAMILIES: &[Family] = families! {
    "abstract" toys::abstract_form;
    "axe" tools::axe;
    "ball_toy" toys::ball_toy;
    "bed" furniture::bed;
    "bird" creatures::bird, held_out;
    "blocks" toys::blocks;
    "boat" vehicles::boat;
    "bolt" tools::bolt;
    "bottle" vessels::bottle;
    "bowl" vessels::bowl;
    "brush" tools::brush;
    "bucket" vessels::bucket;
    "cactus" nature::cactus;
    "camera" wear::camera;
    "car" vehicles::car;
    "castle" buildings::castle;
    "chair" furniture::chair;
    "chess_piece" toys::chess_piece;
    "clock" furniture::clock;
    "cup_and_saucer" vessels::cup_and_saucer;
    "dice" toys::dice;
    "digit" glyphs::digit;
    "duck" creatures::duck;
    "figure" figures::figure;
    "fish" creatures::fish;
    "flower" nature::flower;
    "fruit" nature::fruit;
    "gear" tools::gear;
    "glasses" wear::glasses;
    "guitar" toys::guitar;
    "hammer" tools::hammer;
    "hat" wear::hat;
    "headphones" wear::headphones;
    "heart" toys::heart;
    "house" buildings::house;
    "jug" vessels::jug, held_out;
    "key" tools::key;
    "lamp" furniture::lamp;
    "letter" glyphs::letter;
    "lighthouse" buildings::lighthouse;
    "motorcycle" vehicles::bicycle_toy;
    "mug" vessels::mug;
    "mushroom" nature::mushroom, held_out;
    "phone" wear::phone;
    "plane" vehicles::plane;
    "plant_pot" vessels::plant_pot;
    "quadruped" creatures::quadruped;
    "robot" figures::robot;
    "rocket" vehicles::rocket;
    "rocking_horse" toys::rocking_horse;
    "scissors" tools::scissors;
    "screen" wear::screen;
    "screwdriver" tools::screwdriver;
    "shelf" furniture::shelf;
    "shoe" wear::shoe;
    "snowman" figures::snowman, held_out;
    "sofa" furniture::sofa;
    "spinning_top" toys::spinning_top;
    "spoon" tools::spoon;
    "star" toys::star, held_out;
    "stool" furniture::stool, held_out;
    "table" furniture::table;
    "teapot" vessels::teapot;
    "teddy" figures::teddy;
    "train" vehicles::train;
    "tree" nature::tree;
    "truck" vehicles::truck, held_out;
    "turtle" creatures::turtle;
    "umbrella" wear::umbrella;
    "van" vehicles::van;
    "vase" vessels::vase;
    "windmill" buildings::windmill;
    "wine_glass" vessels::wine_glass;
    "wrench" tools::wrench, held_out;
    "random_assembly" composed::assembly => 14;
    "random_body_plan" composed::body_plan => 7;
    "random_branches" composed::branched => 6;
    "random_crossbreed" composed::crossbreed => 12;
    "random_gathering" composed::gathering => 7;
    "random_legged" composed::legged => 10;
    "random_outline" composed::outline => 11;
    "random_pipes" composed::pipes => 6;
    "random_stack" composed::stack => 7;
    "random_strokes" composed::strokes => 5;
    "random_turned" composed::turned_body => 10;
};

/// A round of training: each family that is not held out as often as its weight says, spread over the round. More than
/// half are random compositions.
#[must_use]
pub fn round() -> Vec<&'static Family> {
    let (composed, named): (Vec<&Family>, Vec<&Family>) =
        FAMILIES.iter().filter(|family| !family.held_out).partition(|family| family.composed());
    // Each at its even distances from begin to end of the round; the named ones, which come once, one after another.
    let place = |index: usize, of: usize| (index as f64 + 0.5) / of as f64;
    let count = named.len();
    let mut places: Vec<(f64, &Family)> =
        named.into_iter().enumerate().map(|(index, family)| (place(index, count), family)).collect();
    for family in composed {
        places.extend((0..family.weight as usize).map(|index| (place(index, family.weight as usize), family)));
    }
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    places.into_iter().map(|(_, family)| family).collect()
}

impl Family {
    /// The family of this name.
    ///
    /// # Errors
    /// [`ShapeError::UnknownFamily`].
    pub fn named(name: &str) -> Result<&'static Self, ShapeError> {
        FAMILIES.iter().find(|family| family.name == name).ok_or_else(|| ShapeError::UnknownFamily(name.to_owned()))
    }

    /// Whether it is a random composition: nothing in particular, and most of what training sees.
    #[must_use]
    pub fn composed(&self) -> bool {
        self.weight > 1
    }

    /// The object of a seed. One of which nothing is left, as happens to random compositions, is made anew with further random numbers.
    #[must_use]
    pub fn solid(&self, seed: u64) -> Solid {
        let first = Solid::new((self.make)(&mut Rng::new(self.name, &[seed])));
        let again = |attempt: u64| Solid::new((self.make)(&mut Rng::new(self.name, &[seed, attempt])));
        std::iter::once(first).chain((1..16).map(again)).find(Solid::has_inside).unwrap_or_else(|| again(16))
    }
}
