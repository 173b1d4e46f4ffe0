"""Poses from satellite fixes: one world frame for a fleet without surveying anything. Free of ROS.

`fixes` reads messages, `world` turns latitude and longitude into the world frame, `origin` agrees on its place among
UAVs, `poses` joins fixes and attitudes, `config` has the settings of all of them.
"""
