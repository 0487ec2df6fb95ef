"""What kube-controller-manager does, for the sandbox: workloads, endpoints, autoscaling, deletion.

Each controller is level-triggered: a change anywhere only puts the key of an object into its work
queue, and a sync makes the world equal to what that object says now, however often it runs. It is
an ordinary client of the API, so it can be started again at any moment and loses nothing.
"""
