"""What the main job costs, as ratios with a bound that is measured in the same run.

Machines are noisy, so an absolute time means nothing: each figure is a median of interleaved pairs.
"""
