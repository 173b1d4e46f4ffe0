"""The evaluation of recorded flights: every UAV computed anew from the images of a bag."""
