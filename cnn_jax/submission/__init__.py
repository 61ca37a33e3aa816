"""Submits commands of this program to a cluster's scheduler, by submitit."""
