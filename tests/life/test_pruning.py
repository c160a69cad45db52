"""Iterative pruning: exact counts, rounds that are undone whole, and a network pruned to a tenth from nothing."""

import torch

from benchmarks.life.controls import train_masked, try_controls
from benchmarks.life.enumeration import enumerate_patches
from benchmarks.life.instances import Instances
from benchmarks.life.pruning import Schedule, Training, prune
from benchmarks.life.tasks import OneStep, StepByStep

QUICK = Schedule(rounds=3, steps=3, tries=1, share=0.5, l1=1e-4, rate=1e-2)


def quiet(words):
    pass


def training_of(seeds, m=4, l1=1e-4):
    training = Training(Instances(1, m, seeds), OneStep().loss, 1e-2, l1)
    training.run(5)
    return training


def test_exactly_as_many_go_as_asked_and_ties_go_by_position():
    training = training_of([0, 1])
    for each in training.instances.parameters:
        each.data.fill_(0.5)
    training.take_smallest(torch.tensor([3, 20]))
    whole = sum(each[0].numel() for each in training.instances.parameters)
    assert training.left().tolist() == [whole - 3, whole - 20]
    assert training.masks[0][0].flatten()[:4].tolist() == [False, False, False, True]


def test_what_is_pruned_stays_zero_and_does_not_come_back():
    training = training_of([0])
    training.take_smallest(torch.tensor([50]))
    gone = [~mask for mask in training.masks]
    training.run(20)
    training.take_smallest(torch.tensor([5]))
    assert all((each.detach()[mask] == 0).all() for each, mask in zip(training.instances.parameters, gone, strict=True))
    assert all(not (new & old).any() for new, old in zip(training.masks, gone, strict=True))


def test_rounds_that_do_not_hold_are_undone_to_the_bit_and_the_share_halves():
    training = training_of([0, 1])
    before = [each.clone() for each in training.tensors()]
    counts = []

    def only_the_second(instances):
        counts.append(training.left().tolist())
        return torch.tensor([False, True])

    history = []
    prune(training, only_the_second, QUICK, torch.tensor([True, True]), 1, history, quiet)
    assert all(torch.equal(now[0], old[0]) for now, old in zip(training.tensors(), before, strict=True))
    whole = history[0][0]
    assert [each[0] for each in counts] == [whole - whole // 2, whole, whole]  # the rounds between take nothing
    assert history[1][1] == whole - whole // 2
    assert history[3][0] == whole


def test_pruning_stops_at_what_is_asked_for_and_leaves_those_that_never_held():
    training = training_of([0, 1])
    begun, history = torch.tensor([True, False]), []
    prune(training, lambda instances: begun, QUICK, begun, 70, history, quiet)
    assert history[-1] == [70, history[0][1]]


def test_one_step_is_pruned_to_a_tenth_and_proved():
    task, schedule = OneStep(), Schedule(rounds=20, steps=150, tries=2, share=0.3, l1=1e-4, rate=1e-2)
    training = Training(Instances(1, 16, [0]), task.loss, schedule.rate, schedule.l1)
    training.run(400)
    prune(training, task.holds, schedule, task.holds(training.instances), 86, [], quiet)
    network = training.instances.network(0)
    assert sum(int((each != 0).sum()) for each in network.parameters()) <= 86
    assert enumerate_patches(network).exact


def test_told_step_by_step_only_channel_0_passes_between_steps():
    task = StepByStep(2, 0)
    training = Training(Instances(2, 3, [0, 1]), task.loss, 1e-2, 0.0)
    training.run(1)
    training.set_masks(task.narrow(training.masks))
    training.run(2)
    second = training.instances.weights[2].detach().unflatten(2, (3, 9))
    assert (second[:, :, 1:] == 0).all()
    assert (second[:, :, 0] != 0).all()
    assert (training.instances.weights[1].detach()[:, 1:] == 0).all()
    assert (training.instances.weights[3].detach() != 0).all()


def test_controls_have_as_many_parameters_as_the_masks_that_they_are_compared_with():
    training = training_of([0, 1])
    training.take_smallest(torch.tensor([60, 80]))
    sizes = []
    original = Training.set_masks

    def watched(self, masks):
        sizes.append(torch.stack([mask.flatten(1).sum(1) for mask in masks]))
        original(self, masks)

    Training.set_masks = watched
    try:
        rows = try_controls(training, [0, 1], "tenth", 1e-2, 5)
    finally:
        Training.set_masks = original
    assert [row["arm"] for row in rows] == ["rewound", "reinitialised", "random mask", "random mask by layer"]
    assert all(each.sum(0).tolist() == training.left().tolist() for each in sizes)
    assert torch.equal(sizes[3], sizes[0])


def test_a_mask_that_keeps_everything_learns_and_one_that_keeps_nothing_does_not():
    instances = Instances(1, 16, [0, 1])
    masks = [torch.ones_like(each, dtype=torch.bool) for each in instances.parameters]
    for mask in masks:
        mask[1] = False
    assert train_masked(instances, masks, 1e-2, 500, 250).tolist() == [True, False]


def test_going_on_without_some_instances_changes_nothing_for_the_others():
    together, fewer = training_of([0, 1, 2]), training_of([0, 1, 2])
    fewer.only(torch.tensor([0, 2]))
    for each in (together, fewer):
        each.run(10)
    for one, other in zip(together.instances.parameters, fewer.instances.parameters, strict=True):
        torch.testing.assert_close(one[[0, 2]], other)
