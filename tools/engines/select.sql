\set user random(0, 99999)
SELECT month_day, year, email, name FROM users WHERE name = chr(97 + :user % 26) || chr(97 + :user / 26 % 26) || chr(97 + :user / 676 % 26) || chr(97 + :user / 17576 % 26) || 'aaa';
