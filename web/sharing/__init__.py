"""The pages of members, invitations and handing over a project."""
