"""The test of the rank sum, by which tests of times decide."""

from tests.support.rank_sum import area_under_curve, rank_score


def test_the_score_distinguishes_two_distributions() -> None:
    same = [i % 7 + i / 100 for i in range(45)]
    assert abs(rank_score(same, [value + 0.001 for value in same])) < 4
    assert rank_score([value + 9 for value in same], same) > 4


def test_the_area_is_a_half_for_equal_samples_and_one_for_larger_ones() -> None:
    assert area_under_curve([1, 2, 3], [3, 2, 1]) == 0.5
    assert area_under_curve([4, 5], [1, 2]) == 1
