"""Operations on memberships: invite and answer, change roles, leave, and hand over a project."""
