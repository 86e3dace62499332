"""The audit log: entries in a hash chain, written in the transaction of the change they describe.

The table `audit`. All other packages of core append to it; the HTTP API and the embedded transport
read it. `deferred` writes refused sign-ins later, so that their time shows nothing about accounts.
"""
