"""The truth itself, against other ways to say it."""

import numpy as np

from benchmarks.life import rules


def test_a_step_is_what_counting_neighbours_one_by_one_says():
    board = (np.random.default_rng(0).random((9, 11)) < 0.4).astype(np.uint8)
    after = rules.step(board)
    for row in range(7):
        for column in range(9):
            block = board[row : row + 3, column : column + 3]
            neighbours = int(block.sum()) - int(block[1, 1])
            assert after[row, column] == (neighbours == 3 or (neighbours == 2 and block[1, 1] == 1))


def test_a_glider_moves_one_cell_down_and_right_in_four_generations():
    board = np.zeros((8, 8), np.uint8)
    board[[0, 1, 2, 2, 2], [1, 2, 0, 1, 2]] = 1
    after = board
    for _ in range(4):
        after = rules.torus_step(after)
    assert np.array_equal(after, np.roll(board, (1, 1), (0, 1)))


def test_numbers_of_patches_and_patches_are_each_others_inverse():
    assert np.array_equal(rules.patch_numbers(rules.patches([357], 3)[0]), [[357]])
    board = rules.patches([12_345_678], 5)[0]
    assert np.array_equal(rules.patches(rules.patch_numbers(board).reshape(-1), 3)[4], board[1:4, 1:4])


def test_of_512_patches_140_have_a_living_centre_next():
    assert rules.TRUTH.sum() == 140  # 2 * C(8,3) + C(8,2)
