# Whether a FIPS module is the one that its fipsmodule.cnf has the MAC of: fips-module-mac.pl MODULE CONFIG
# The key is public, part of OpenSSL's build (util/mk-fipsmodule-cnf.pl): the MAC finds accidents, it keeps no secret.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_hex);

sub content {
    my ($path) = @_;
    local $/;
    open my $stream, '<:raw', $path or die "$path: $!\n";
    return scalar <$stream>;
}

my ($module, $config) = @ARGV;
my $key = pack 'H*', 'f4556650ac31d35461610bac4ed81b1a181b2d8a43ea2854cbae22ca74560813';
my $wanted = hmac_sha256_hex(content($module), $key);
my ($said) = content($config) =~ /^module-mac\s*=\s*(\S+)/m;
die "$config: there is no module-mac\n" unless defined $said;
(my $found = lc $said) =~ tr/://d;
die "$module: module-mac is $found, the module itself has $wanted\n" if $found ne $wanted;
print "module-mac matches the module: $wanted\n";
