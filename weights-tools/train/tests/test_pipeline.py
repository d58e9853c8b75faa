"""Scenes, prompts, assignment: what training rests on."""
import pathlib
import random
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import numpy as np
import torch
from PIL import Image

import losses
import model
import prompts
import train
from names import INDEX, NAMES, SHAPE_NAMES, SYNONYMS, words
from scenes import Composer, Scene, Sprites


def composer():
    """Without art: coloured shapes only."""
    c = Composer(Sprites.__new__(Sprites))
    c.sprites.by_name, c.sprites.clutter = {}, {}
    return c


class SceneTests(unittest.TestCase):
    def test_the_same_seed_gives_the_same_scene(self):
        a, b, other = (composer().scene(random.Random(seed), 160, 128, names=SHAPE_NAMES) for seed in (4, 4, 5))
        self.assertEqual((a.boxes, a.labels), (b.boxes, b.labels))
        self.assertTrue(np.array_equal(np.asarray(a.image), np.asarray(b.image)))
        self.assertFalse(np.array_equal(np.asarray(a.image), np.asarray(other.image)))

    def test_boxes_are_tight(self):
        # On a plain ground, as drawn: what differs from the ground is in the boxes, and touches all their sides.
        with mock.patch("scenes.background", lambda rng, w, h: Image.new("RGB", (w, h), (128, 200, 200))):
            scenes = [composer().scene(random.Random(seed), 200, 160, kind="some", names=["red circle", "blue square"], augment=0)
                      for seed in range(20)]
        for scene in scenes:
            apart = np.abs(np.asarray(scene.image).astype(int) - (128, 200, 200)).max(-1)
            outside = apart > 40
            for x1, y1, x2, y2 in scene.boxes:
                outside[y1:y2 + 1, x1:x2 + 1] = False
                inside = apart[y1:y2 + 1, x1:x2 + 1] > 4
                for side in (inside[:2], inside[-2:], inside[:, :2], inside[:, -2:]):
                    self.assertTrue(side.any())
            self.assertLessEqual(outside.sum(), .01 * outside.size)

    def test_sizes_are_kept(self):
        scene = composer().scene(random.Random(2), 256, 256, kind="some", sizes=(24, 24.5), names=["green square"], augment=0)
        self.assertTrue(scene.boxes)
        for x1, y1, x2, y2 in scene.boxes:
            self.assertTrue(18 <= max(x2 - x1, y2 - y1) + 1 <= 36)

    def test_an_object_of_a_frame_scene_fills_it(self):
        for seed in range(8):
            scene = composer().scene(random.Random(seed), 200, 160, kind="frame", names=["green square"], augment=0)
            x1, y1, x2, y2 = scene.boxes[0]
            self.assertGreater(max(x2 - x1, y2 - y1), .8 * 160)

    def test_a_scaled_scene_has_its_boxes_where_its_objects_are(self):
        with mock.patch("scenes.background", lambda rng, w, h: Image.new("RGB", (w, h), (128, 200, 200))):
            scene = composer().scene(random.Random(3), 240, 180, kind="some", names=["red circle"], augment=0)
        self.assertIs(scene, scene.scaled(240, 180))
        small = scene.scaled(160, 120)
        self.assertEqual(((160, 120), scene.labels), (small.image.size, small.labels))
        apart = np.abs(np.asarray(small.image).astype(int) - (128, 200, 200)).max(-1)
        for (x1, y1, x2, y2), (a, b, c, d) in zip(scene.boxes, small.boxes):
            for before, after in ((x2 - x1 + 1, c - a + 1), (y2 - y1 + 1, d - b + 1)):
                self.assertAlmostEqual(before / 1.5, after, delta=1e-6)
            apart[max(0, round(b) - 1):round(d) + 2, max(0, round(a) - 1):round(c) + 2] = 0
        self.assertLess((apart > 40).mean(), .01)


class PromptTests(unittest.TestCase):
    def test_all_names_and_synonyms_are_whole_words_of_the_vocabulary(self):
        for text in NAMES + [s for list_ in SYNONYMS.values() for s in list_]:
            self.assertEqual(len(words(text)), len(prompts.tokens(text)), text)
            self.assertNotIn(prompts.UNKNOWN, prompts.tokens(text))

    def test_a_list(self):
        p = prompts.listed([("red apple", [0]), ("dog", [])])
        self.assertEqual(["[CLS]", "red", "apple", ".", "dog", ".", "[SEP]"], [prompts.VOCABULARY[i] for i in p.ids])
        self.assertEqual([[1, 2], [4]], [positions for _, positions, _ in p.phrases])

    def test_absent_names_are_absent(self):
        rng = random.Random(3)
        present = [INDEX["dog"], INDEX["red circle"]]
        names = prompts.absent_names(rng, present, 40)
        self.assertEqual(40, len(set(names)))
        self.assertFalse({"dog", "red circle"} & set(names))

    def test_confusion_draws_what_a_name_is_taken_for(self):
        rng, confusion = random.Random(5), prompts.Confusion()
        dog, bear, cat = (INDEX[n] for n in ("dog", "bear", "cat"))
        self.assertIsNone(confusion.like(rng, "dog"))
        shares = torch.zeros(2, len(NAMES))
        shares[0, dog], shares[0, bear], shares[1, cat] = .6, .4, 1
        confusion.see(torch.tensor([dog, cat]), shares)
        self.assertEqual({"bear"}, {confusion.like(rng, "dog") for _ in range(50)})
        self.assertIsNone(confusion.like(rng, "cat"))  # it is taken for nothing else
        drawn = [prompts.absent_names(rng, [dog], 1, confusion=confusion)[0] for _ in range(1000)]
        self.assertTrue(.25 < drawn.count("bear") / 1000 < .4)

    def test_a_training_prompt_names_objects_by_what_they_are(self):
        rng = random.Random(4)
        scene = Scene(Image.new("RGB", (64, 64)), [(0, 0, 20, 20), (30, 0, 50, 20), (0, 30, 90, 120)],
                      [INDEX["dog"], INDEX["red circle"], INDEX["dog"]])
        meant = set()
        for _ in range(300):
            p = prompts.training_prompt(rng, scene)
            self.assertLessEqual(len(p.ids), prompts.LONGEST)
            for text, positions, objects in p.phrases:
                self.assertEqual(list(prompts.tokens(text)), [p.ids[i] for i in positions])
                for o in objects:
                    self.assertTrue(text.endswith(NAMES[scene.labels[o]]), text)
                    self.assertNotIn((text.split()[0], o), {("small", 2), ("tiny", 2), ("large", 0), ("big", 0)})
                    meant.add(o)
        self.assertEqual({0, 1, 2}, meant)


class LossTests(unittest.TestCase):
    def test_anchors_are_the_originals(self):
        cells, levels = model.anchors([(2, 3), (1, 1), (1, 1), (1, 1), (1, 1)])
        self.assertEqual([6, 1, 1, 1, 1], levels)
        # Stride 8, four strides wide, last pixel inside: 32 = 19 - -12 + 1 around 3.5.
        self.assertEqual([-12, -12, 19, 19], cells[0].tolist())
        self.assertEqual([-4, -12, 27, 19], cells[1].tolist())

    def test_an_object_gets_cells_of_its_size_within_it(self):
        sizes = [(28, 28), (14, 14), (7, 7), (4, 4), (2, 2)]
        cells, levels = model.anchors(sizes)
        objects = torch.tensor([[40., 40, 71, 71], [96, 96, 215, 215]])
        owner = losses.assign(objects, cells, levels)
        starts = np.cumsum([0, *levels])
        for i, level in ((0, 0), (1, 2)):
            mine = (owner == i).nonzero()[:, 0]
            self.assertTrue(len(mine) and ((mine >= starts[level]) & (mine < starts[level + 1])).any())
            centre = (cells[mine, :2] + cells[mine, 2:]) / 2
            self.assertTrue(((centre > objects[i, :2]) & (centre < objects[i, 2:])).all())

    def test_decoding_undoes_the_original_encoding(self):
        box = torch.tensor([[10., 20, 59, 49]])  # 50 wide, 30 high, around 34.5, 34.5
        anchor = torch.tensor([[16., 16, 47, 47]])
        deltas = torch.tensor([[10 * 3 / 32, 10 * 3 / 32, 5 * np.log(50 / 32), 5 * np.log(30 / 32)]], dtype=torch.float32)
        self.assertTrue(torch.allclose(box, model.decode(deltas, anchor), atol=1e-4))

    def test_generalised_iou(self):
        a = torch.tensor([[0., 0, 10, 10]] * 3)
        b = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 5], [10, 0, 20, 10]])
        self.assertTrue(torch.allclose(losses.giou(a, b), torch.tensor([1, .5, 0]), atol=1e-5))
        far = losses.giou(a[:1], torch.tensor([[20., 0, 30, 10]]))
        self.assertAlmostEqual(-1 / 3, float(far), 5)

    def test_a_perfect_answer_costs_little_and_a_wrong_one_much(self):
        sizes = [(28, 28), (14, 14), (7, 7), (4, 4), (2, 2)]
        cells, levels = model.anchors(sizes)
        objects = torch.tensor([[40., 40, 103, 103]])
        meaning, mask = torch.tensor([[0., 1, 0]]), torch.ones(1, 3)
        owner = losses.assign(objects, cells, levels)
        right = torch.full((1, len(cells), 3), -9.)
        right[0, owner == 0, 1] = 9
        deltas = torch.zeros(1, len(cells), 4)
        centre = torch.zeros(1, len(cells))
        good = losses.detection_losses((right, deltas, centre, sizes), [objects], [meaning], mask)
        bad = losses.detection_losses((-right, deltas, centre, sizes), [objects], [meaning], mask)
        self.assertLess(float(good[0]), .01)
        self.assertGreater(float(bad[0]), 10)
        self.assertTrue(torch.equal(good[3].cell, (owner == 0).nonzero()[:, 0]))


class StepTests(unittest.TestCase):
    def test_a_batch_without_objects_teaches_no_names(self):
        empty = Composer.__new__(Composer)
        empty.scene = lambda rng, width, height, **_: Scene(Image.new("RGB", (width, height)), [], [])
        network, names = model.Glip(len(prompts.VOCABULARY)), train.NameLoss(prompts.Confusion())
        options = mock.Mock(batch=1, names_weight=.5)
        with mock.patch("train.SIZES", {(64, 64): 1}):
            counts, values = train.step(network, names, empty, random.Random(1), .5, True, options)
        self.assertEqual(0, counts[1])
        self.assertEqual([0.] * 5, list(values))
        self.assertTrue(all(p.grad is None for p in network.parameters()))


if __name__ == "__main__":
    unittest.main()
