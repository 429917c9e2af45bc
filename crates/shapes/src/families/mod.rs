//! Families of objects: what people photograph, each with wide ranges of everything.

mod buildings;
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
}

/// Seeds that training never uses: this one and all above. A model is judged on objects of these seeds.
pub const HELD_OUT_SEEDS: u64 = 1 << 32;

macro_rules! families {
    ($($name:literal $make:path $(, $held:ident)?;)*) => {
        &[$(Family { name: $name, make: $make, held_out: families!(@held $($held)?) }),*]
    };
    (@held held_out) => { true };
    (@held) => { false };
}

/// All families.
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
};

impl Family {
    /// The family of this name.
    ///
    /// # Errors
    /// [`ShapeError::UnknownFamily`].
    pub fn named(name: &str) -> Result<&'static Self, ShapeError> {
        FAMILIES.iter().find(|family| family.name == name).ok_or_else(|| ShapeError::UnknownFamily(name.to_owned()))
    }

    /// The object of a seed, unfinished.
    #[must_use]
    pub fn shape(&self, seed: u64) -> Shape {
        (self.make)(&mut Rng::new(self.name, &[seed]))
    }

    /// The object of a seed.
    #[must_use]
    pub fn solid(&self, seed: u64) -> Solid {
        Solid::new(self.shape(seed))
    }
}
