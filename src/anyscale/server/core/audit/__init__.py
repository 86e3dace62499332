"""The audit log: entries in a hash chain, written in the transaction of the change they describe.

The table `audit`. Other packages of core append to it; the HTTP layer and the embedded transport
read it. `deferred` writes refused sign-ins later, so that their time shows nothing about accounts.
"""
