//! Pictures show the mesh, and bad wishes are errors.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

mod common;

use common::torus;
use orfeas_surface::{Mesh, RenderOptions, SurfaceErrorKind, View, extract, place, render, render_png};

fn options(views: &[View]) -> RenderOptions {
    RenderOptions { width: 96 * views.len() as u32, height: 96, views: views.to_vec(), supersampling: 2 }
}

fn brightness(pixel: &image::Rgb<u8>) -> i32 {
    pixel.0.iter().map(|v| i32::from(*v)).sum::<i32>() / 3
}

#[test]
fn the_picture_has_a_light_ground_and_a_modelled_subject() {
    let mesh = place(extract(&torus(40)).unwrap(), 100.0).unwrap();
    let picture = render(&mesh, &options(&[View::ThreeQuarter])).unwrap();
    assert_eq!(picture.dimensions(), (96, 96));
    for corner in [(0, 0), (95, 0), (0, 95), (95, 95)] {
        assert!(brightness(picture.get_pixel(corner.0, corner.1)) > 180, "{corner:?}");
    }
    let middle: Vec<i32> = (20..76).map(|x| brightness(picture.get_pixel(x, 60))).collect();
    let (low, high) = (middle.iter().min().unwrap(), middle.iter().max().unwrap());
    assert!(high - low > 50, "{low} to {high}");
    assert_eq!(picture, render(&mesh, &options(&[View::ThreeQuarter])).unwrap());
}

#[test]
fn views_stand_side_by_side() {
    let mesh = place(extract(&torus(40)).unwrap(), 100.0).unwrap();
    let both = render(&mesh, &options(&[View::Front, View::ThreeQuarter])).unwrap();
    let front = render(&mesh, &options(&[View::Front])).unwrap();
    assert!((0..96).all(|x| (0..96).all(|y| both.get_pixel(x, y) == front.get_pixel(x, y))));
    assert!((0..96).any(|x| (0..96).any(|y| both.get_pixel(x + 96, y) != front.get_pixel(x, y))));
    let png = render_png(&mesh, &options(&[View::Side, View::Back])).unwrap();
    assert_eq!(image::load_from_memory(&png).unwrap().width(), 192);
}

#[test]
fn bad_wishes_are_errors() {
    let mesh = extract(&torus(20)).unwrap();
    let kind = |mesh: &Mesh, options: RenderOptions| render(mesh, &options).unwrap_err().kind();
    let good = RenderOptions::default();
    assert_eq!(kind(&mesh, RenderOptions { width: 0, ..good.clone() }), SurfaceErrorKind::Argument);
    assert_eq!(kind(&mesh, RenderOptions { views: vec![], ..good.clone() }), SurfaceErrorKind::Argument);
    assert_eq!(kind(&mesh, RenderOptions { supersampling: 9, ..good.clone() }), SurfaceErrorKind::Argument);
    assert_eq!(kind(&mesh, RenderOptions { width: u32::MAX, ..good.clone() }), SurfaceErrorKind::Argument);
    assert_eq!(kind(&Mesh::default(), good.clone()), SurfaceErrorKind::Empty);
    let stray = Mesh { vertices: mesh.vertices.clone(), triangles: vec![[0, 1, u32::MAX]] };
    assert_eq!(kind(&stray, good), SurfaceErrorKind::Damaged);
}
