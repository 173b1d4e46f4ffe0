"""The evaluation of recorded flights: every UAV computed anew from the images of a bag.

Start at `evaluate.evaluate_bag`; `engine` runs the agents over the recorded instants, `report` prints what comes out.
"""
